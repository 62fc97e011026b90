"""Small pictures are whole, and None where there is none."""

from pathlib import Path

import pytest
from PIL import Image

from edge_ood.images.small_pictures import fitted, small_picture


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 300), (96, 72)), ((4000, 10), (96, 1)), ((49, 20), (49, 20)), ((32, 8), (96, 24))],
)
def test_a_picture_fits(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Its longer side is that of the place, or a whole multiple of its own."""
    assert expected == fitted(Image.new("RGB", size), 96).size


def test_a_file_that_is_no_picture_is_none(tmp_path: Path) -> None:
    """Gone, or something else."""
    (tmp_path / "text.png").write_text("text")

    assert [None, None] == [small_picture(tmp_path / name, 96) for name in ("gone", "text.png")]
