"""Scores for eyes: nothing in a name leaves its place, and every picture has its own verdict."""

import pickle
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.artifact.outputs import Scores
from edge_ood.errors import InputError

HOSTILE = "</td><script>alert('1')</script>&amp;\u202e"
CELL_PX = 130
FRAME_AT = 11
BLUE, VERMILION = (0x00, 0x72, 0xB2), (0xB5, 0x40, 0x0B)


def scores(count: int, *, shown: bool = True) -> Scores:
    """Every second image is flagged; pictures are of one grey each."""
    index = np.arange(count)
    number = index.astype(np.float32)
    flags = index % 2 == 1
    found = Scores.of_outputs(
        (HOSTILE, "dog"),
        ("energy",),
        [index % 2, flags, number / 100, np.zeros((count, 2)), number, number / 100, flags],
    )
    images = tuple(np.full((4, 4, 3), 5 * i, np.uint8) for i in index)
    return Scores(**{**vars(found), "images": images if shown else ()})


class Table(HTMLParser):
    """The tags of a table, and its texts by cell."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.bold: set[int] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """A row, a cell, or a mark."""
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "b":
            self.bold.add(len(self.rows) - 1)

    def handle_data(self, data: str) -> None:
        """What a cell says."""
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_names_of_classes_are_text_in_a_notebook() -> None:
    """Whatever they hold is shown and does nothing; marks that turn text are spelled out."""
    table = Table(scores(1)._repr_html_())

    assert {"div", "table", "thead", "tbody", "tr", "th", "td", "p"} == table.tags
    assert HOSTILE.replace("\u202e", r"\u202e") == table.rows[1][0]


def test_a_notebook_shows_a_row_for_each_image() -> None:
    """Label, decision, p-value and scores; flagged images are bold."""
    table = Table(scores(3)._repr_html_())

    assert ["label", "is_ood", "pvalue", "energy"] == table.rows[0]
    assert ["dog", "True", "0.01", "1"] == table.rows[2]
    assert {2} == table.bold


def test_a_notebook_shows_ten_images_of_many() -> None:
    """And says how many are left."""
    html = scores(25)._repr_html_()

    assert 11 == len(Table(html).rows)
    assert "15 more<br>12 of 25 flagged as out-of-distribution" in html


def test_the_representation_is_one_line() -> None:
    """Not all of the arrays."""
    assert "Scores(25 images, 12 flagged, heads energy)" == repr(scores(25))


def test_a_frame_has_the_colour_of_its_decision() -> None:
    """Pictures stand in the order of the images, six a row."""
    sheet = scores(8).show()

    for index in range(8):
        row, column = divmod(index, 6)
        left, top = FRAME_AT + column * CELL_PX, FRAME_AT + row * 164
        assert (VERMILION if index % 2 else BLUE) == sheet.getpixel((left, top))
        assert (5 * index,) * 3 == sheet.getpixel((left + 60, top + 60))


def test_a_sheet_of_files_shows_the_files(tmp_path: Path) -> None:
    """One that is gone meanwhile has a grey place."""
    paths = [tmp_path / "a.png", tmp_path / "gone.png"]
    Image.new("RGB", (40, 40), "red").save(paths[0])
    files = Scores(**{**vars(scores(2, shown=False)), "paths": tuple(paths)})

    sheet = files.show()

    middle = FRAME_AT + 60
    assert (255, 0, 0) == sheet.getpixel((middle, middle))
    assert (0xD9, 0xDE, 0xE4) == sheet.getpixel((middle + CELL_PX, middle - 40))


def test_a_sheet_has_the_most_that_is_asked_for() -> None:
    """Of 25 images, 24 by default."""
    heights = [scores(25).show(most).height for most in (6, 7, 24, 25)]

    assert [1, 1] == [(heights[1] - heights[0]) // 164, (heights[3] - heights[2]) // 164]
    assert scores(25).show().size == scores(25).show(24).size


def test_nothing_flagged_is_a_sheet_all_the_same() -> None:
    """A notebook that looks at what was flagged need not ask first."""
    none = scores(4)[[]]

    assert "RGB" == none.show().mode
    assert "0 of 0 flagged" in str(none)


@pytest.mark.parametrize("kind", ["pickled", "arrays"])
def test_images_that_are_not_kept_are_one_error(kind: str) -> None:
    """Pickled results leave theirs behind."""
    found = pickle.loads(pickle.dumps(scores(3))) if kind == "pickled" else scores(3, shown=False)

    with pytest.raises(InputError, match="cannot show 3 images: this result does not keep them"):
        found.show()


def test_no_image_to_show_is_an_error() -> None:
    """A picture of none would be no answer."""
    with pytest.raises(InputError, match="0 images to show, expected 1 or more"):
        scores(3).show(0)
