"""Files that look like thumbnails of others are named."""

from pathlib import Path

import pytest

from edge_ood.images.thumbnails import thumbnails_note


@pytest.mark.parametrize(
    "thumbnail",
    [
        "d/cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "d/cat/thumbs/1.jpg",
        "d/cat/Thumbnails/1.png",
        "d/cat/previews/thumb_1.jpg",
        "d/thumbnails/cat/1.jpg",
        "d/cat/tn_1.jpg",
        "d/cat/1-150x150.jpg",
        "d/cat/1_thumb.jpg",
    ],
)
def test_a_thumbnail_beside_its_original_is_named(thumbnail: str) -> None:
    """In a folder of its own or beside it, as NAS, cameras and galleries make them."""
    originals = [Path("d/cat/1.jpg"), Path("d/cat/2.jpg")]

    (note,) = thumbnails_note([*originals, Path(thumbnail)])

    assert note.startswith("1 of 3 images in 1 folder(s) look like thumbnails")
    assert f"the first is './{thumbnail}'" in note


def test_a_thumbnail_may_lie_in_a_folder_beside_that_of_its_original() -> None:
    """`thumbs` and `full` in one folder."""
    (note,) = thumbnails_note([Path("d/cat/full/1.jpg"), Path("d/cat/thumbs/1.jpg")])

    assert note.startswith("1 of 2 images")


@pytest.mark.parametrize(
    "paths",
    [
        ["d/cat/1.jpg", "d/cat/thumbs/2.jpg"],
        ["d/cat/1.jpg", "d/cat/2-150x150.jpg", "d/cat/2_thumb.jpg"],
        ["thumbs/cat/1.jpg", "thumbs/dog/1.jpg"],
        ["d/cat/1.jpg", "d/dog/1.jpg"],
    ],
)
def test_images_without_an_original_are_no_thumbnails(paths: list[str]) -> None:
    """Names alone say nothing."""
    assert () == thumbnails_note([Path(path) for path in paths])
