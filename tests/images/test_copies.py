"""Images in two roles: the error names them on both sides."""

from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.copies import refuse_trained_on, shown_names
from edge_ood.images.folders import ImageSet


def images(folder: str, contents: str) -> ImageSet:
    """Files that are called like the letters of their contents, behind their number."""
    paths = tuple(Path(folder, f"{i}{letter}.png") for i, letter in enumerate(contents))
    return ImageSet(paths, hashes=tuple(contents))


def refusal(calibration: ImageSet, *trained: ImageSet) -> str:
    """What is said of calibration images."""
    with pytest.raises(DataError) as caught:
        refuse_trained_on(calibration, trained, "calibration", Path("cal"))
    assert "remove them from 'cal'" == caught.value.hint
    return str(caught.value)


def test_both_files_are_named() -> None:
    """One image, whose copy is called something else."""
    assert (
        "1 of 3 calibration images are also training images: './cal/1b.png' is './train/0b.png'"
    ) == refusal(images("cal", "abc"), images("train", "bx"))


def test_the_first_few_of_many_are_named() -> None:
    """All of them are counted, copies included; each is one of the first set that has it."""
    said = refusal(images("cal", "aabcdefg"), images("train", "abc"), images("old", "cdefg"))

    assert said.startswith("8 of 8 calibration images are also training images: ")
    assert said.endswith(
        "'./cal/0a.png' is './train/0a.png', './cal/1a.png' is './train/0a.png',"
        " './cal/2b.png' is './train/1b.png', './cal/3c.png' is './train/2c.png',"
        " './cal/4d.png' is './old/1d.png' and 3 more"
    )


def test_a_file_that_is_both_is_named_once() -> None:
    """As where one folder is given for both."""
    assert "1 of 1 calibration images are also training images: './cal/0a.png'" == refusal(
        images("cal", "a"), images("cal", "a")
    )


def test_images_apart_are_let_through() -> None:
    """By content: equal names say nothing."""
    refuse_trained_on(images("a", "abc"), [images("b", "xyz")], "calibration", Path("a"))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "'/x/0.png'"),
        (5, "'/x/0.png', '/x/1.png', '/x/2.png', '/x/3.png', '/x/4.png'"),
        (6, "'/x/0.png', '/x/1.png', '/x/2.png', '/x/3.png', '/x/4.png' and 1 more"),
    ],
)
def test_names_are_few(count: int, expected: str) -> None:
    """Five, and the number of the others."""
    assert expected == shown_names([Path(f"/x/{i}.png") for i in range(count)])
