"""Sheets of pictures: where each stands, whatever its size and its caption."""

import numpy as np
import pytest
from PIL import Image

from edge_ood.images.contact_sheet import Tile, contact_sheet, picture_of
from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR

RED = Image.new("RGB", (112, 112), "red")
EDGE = (11, 11)
"""A point of the first frame."""


@pytest.mark.parametrize(("is_marked", "colour"), [(False, ID_COLOUR), (True, OOD_COLOUR)])
def test_a_mark_is_the_colour_of_the_frame(is_marked: bool, colour: str) -> None:
    """The same two as on pages."""
    sheet = contact_sheet([Tile(RED, (), is_marked)])

    assert Image.new("RGB", (1, 1), colour).getpixel((0, 0)) == sheet.getpixel(EDGE)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (500, 20), (112, 112)])
def test_a_picture_stays_in_its_frame(size: tuple[int, int]) -> None:
    """Whole, in the middle, on white."""
    height, width = size
    picture = picture_of(np.full((height, width, 3), (0, 255, 0), np.uint8))

    sheet = np.asarray(contact_sheet([Tile(picture, ())]))

    rows, columns = np.nonzero((sheet == (0, 255, 0)).all(axis=2))
    assert 14 <= rows.min() <= rows.max() < 126
    assert 14 <= columns.min() <= columns.max() < 126
    for found in (rows, columns):
        assert abs(found.min() + found.max() - 139) <= 1


def test_six_stand_in_a_row() -> None:
    """The seventh begins the next one."""
    sizes = [contact_sheet([Tile(RED, ("a",))] * count).size for count in (1, 6, 7)]

    assert sizes[1][0] == sizes[2][0] == sizes[0][0] + 5 * 130
    assert sizes[0][1] == sizes[1][1] < sizes[2][1]


@pytest.mark.parametrize("caption", ["a long name of a class " * 400, "i" * 500, "\n\x1b蓝", ""])
def test_a_caption_stays_below_its_picture(caption: str) -> None:
    """However long, and whatever it holds."""
    sheet = np.asarray(contact_sheet([Tile(RED, (caption,)), Tile(RED, ())]))

    below = sheet[10 + 120 : 10 + 120 + 17]
    is_ink = (below < 128).any(axis=2).any(axis=0)
    assert not is_ink[10 + 120 :].any()
    assert bool(caption) == is_ink.any()


def test_a_picture_that_cannot_be_read_has_its_place() -> None:
    """Grey, with words."""
    sheet = contact_sheet([Tile(None, ("a",))])

    assert (0xD9, 0xDE, 0xE4) == sheet.getpixel((20, 20))
    assert len(np.unique(np.asarray(sheet)[14:126, 14:126])) > 1
