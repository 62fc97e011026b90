"""Figures: the same bytes each time, in the page's colours and font, without clashing ids."""

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from edge_ood.report.figure import label, new_figure, svg, write_figure
from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR

LARGEST_HISTOGRAM_BYTES = 15_000


def histogram(*, title: str = "energy") -> Figure:
    """Two outlined histograms of 60 bins, a line and a curve with markers."""
    generator = np.random.default_rng(0)
    with new_figure(3.6, 2.4) as figure:
        axes = figure.subplots()
        for mean, colour in ((0, ID_COLOUR), (2, OOD_COLOUR)):
            counts, edges = np.histogram(generator.normal(mean, 1, 4000), 60)
            axes.stairs(counts / 4000, edges, fill=True, alpha=0.4, color=colour, label=str(mean))
            axes.stairs(counts / 4000, edges, color=colour)
        axes.plot([0, 1], [0, 0.05], "o-")
        axes.axvline(1, linestyle="--")
        axes.set_title(title)
        axes.legend()
    return figure


def markup(name: str, **options: str) -> str:
    return str(svg(histogram(), name=name, title="T", description="D", **options))


def test_a_figure_is_the_same_each_time() -> None:
    """No date, no random ids."""
    assert markup("scores") == markup("scores")


def test_a_histogram_is_small() -> None:
    """A page may hold a hundred of them."""
    assert len(markup("scores").encode()) < LARGEST_HISTOGRAM_BYTES


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("a b", "a_b"), ("a/b", "a_2f_b"), ("A", "a")]
)
def test_two_figures_share_no_id(one: str, other: str) -> None:
    """Clip paths, markers and titles are those of the figure itself, whatever its name."""
    ids = [set(re.findall(r' id="([^"]*)"', markup(name))) for name in (one, other)]

    assert all(len(found) > 2 for found in ids)
    assert set() == ids[0] & ids[1]
    assert all(re.fullmatch(r"[\w-]+", name, re.ASCII) for name in ids[0] | ids[1])


def test_every_reference_in_a_figure_is_to_itself() -> None:
    """What is clipped or marked finds its path."""
    text = markup("scores")

    ids = set(re.findall(r' id="([^"]*)"', text))
    references = set(re.findall(r'(?:url\(|href=")#([^)"]*)', text))
    assert references
    assert references < ids


def test_a_figure_follows_light_and_dark() -> None:
    """No colour of the palette is left as a number, and lines have theirs."""
    text = markup("scores")

    assert [] == re.findall("#[0-9a-f]{6}", text)
    assert {"var(--blue)", "var(--vermilion)", "var(--ink)"} <= set(
        re.findall(r"var\([^)]*\)", text)
    )


def test_text_is_text_in_the_font_of_the_page() -> None:
    """It can be read, searched, and is no path."""
    text = markup("scores")

    assert ">energy</text>" in text
    assert "font-family" not in text


def test_a_figure_is_described() -> None:
    """A screen reader gets its title and what is to be seen."""
    text = svg(histogram(), name="x", title="<T>", description="D & \u202e")
    root = ElementTree.fromstring(text)

    assert ["img", "figure-x-title", "figure-x-desc"] == [
        root.get(key) for key in ("role", "aria-labelledby", "aria-describedby")
    ]
    assert ["<T>", "D & \\u202e"] == [root[0].text, root[1].text]


def test_drawing_leaves_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own plots look as before, and their settings do not reach ours."""
    ours = markup("scores")
    with mpl.rc_context({"lines.linewidth": 7, "font.size": 30, "text.usetex": True}):
        before = dict(mpl.rcParams)
        theirs = markup("scores")
        after = dict(mpl.rcParams)

    assert before == after
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat", "cat"),
        ("_hidden", " _hidden"),
        ("a\x1b\u202eb", "a\\x1b\\u202eb"),
        ("x" * 28, "x" * 28),
        ("a" * 50 + "b" * 50, "a" * 14 + "…" + "b" * 13),
    ],
)
def test_names_from_outside_can_be_drawn(name: str, expected: str) -> None:
    """Control characters are spelled out, long names cut, and a legend hides none."""
    assert expected == label(name)


@pytest.mark.parametrize("name", ["$x", "$x$", "a$\\frac$", "<b>&amp;", "_x", "\x00\udcff"])
def test_a_hostile_name_is_plain_text(name: str) -> None:
    """Formulas and markup are shown as they are written."""
    root = ElementTree.fromstring(
        svg(histogram(title=label(name)), name="x", title="T", description="D")
    )

    assert label(name) in [text.text for text in root.iter("text")]


def test_files_of_a_figure_stand_alone(tmp_path: Path) -> None:
    """A PNG and an SVG in light colours, with the namespaces that a viewer needs."""
    write_figure(histogram(), tmp_path / "new", "scores")

    with Image.open(tmp_path / "new" / "scores.png") as image:
        assert (720, 480) == image.size
    text = (tmp_path / "new" / "scores.svg").read_text("utf-8")
    assert "{http://www.w3.org/2000/svg}svg" == ElementTree.fromstring(text).tag
    assert ID_COLOUR in text
    assert "var(" not in text


def test_files_of_a_figure_are_the_same_each_time(tmp_path: Path) -> None:
    """So that they can be kept under version control."""
    for folder in ("one", "two"):
        write_figure(histogram(), tmp_path / folder, "scores")

    for name in ("scores.png", "scores.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
