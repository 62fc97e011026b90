"""Pages: every template makes one that stands alone, whatever text is put into it."""

import itertools
import os
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pytest

from edge_ood.report.page import environment, is_page, write_page
from edge_ood.report.palette import PALETTE, SERIES

TEMPLATES = resources.files("edge_ood.report") / "templates"
PAGES = sorted(
    Path(file.name).stem
    for file in TEMPLATES.iterdir()
    if 'extends "base.html"' in file.read_text("utf-8")
)
CONTRAST = {"ink": 7, "muted": 4.5, "link": 4.5}
LINE_CONTRAST = 3
"""WCAG 2.2: 4.5 for text (7 is better), 3 for what a figure draws."""

SMALLEST_DISTANCE = 12
"""In CIELAB; 2.3 is just noticeable, side by side."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
VISIONS = {
    "all": np.eye(3),
    "no red": np.array(
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]
    ),
    "no green": np.array(
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]
    ),
    "no blue": np.array(
        [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]
    ),
}
"""What linear RGB becomes, by Machado, Oliveira and Fernandes 2009, table 1, severity 1."""


@pytest.mark.parametrize("name", ["parts", *PAGES])
def test_a_page_is_sound_and_stands_alone(
    name: str, request: pytest.FixtureRequest, check_page: Callable[[str], None]
) -> None:
    """Each template has a sample in `conftest.py`, the fixture `NAME_page`."""
    check_page(request.getfixturevalue(f"{name}_page"))


@pytest.mark.browser
@pytest.mark.parametrize("name", ["parts", *PAGES])
def test_a_page_fits_a_phone_and_a_desktop(
    name: str, request: pytest.FixtureRequest, check_in_browser: Callable[[str], None]
) -> None:
    """Nothing makes it scroll sideways, and nothing is asked for, at 400 and at 1400 px."""
    check_in_browser(request.getfixturevalue(f"{name}_page"))


@pytest.mark.browser
@pytest.mark.parametrize(
    "damage",
    [
        '<div style="width: 401px">x</div>',
        '<img src="picture.png" alt="x">',
        '<script src="data:text/javascript,1"></script>',
    ],
)
def test_the_browser_sees_damage(
    damage: str, gallery_page: str, check_in_browser: Callable[[str], None]
) -> None:
    """What is too wide, asks for a file or runs a script is not overlooked."""
    with pytest.raises(AssertionError):
        check_in_browser(gallery_page.replace("<main>", f"<main>{damage}", 1))


@pytest.mark.parametrize(
    "damage",
    [
        ("</main>", ""),
        ("</h2>", "</h3>"),
        ('<html lang="en">', "<html>"),
        ("<main>", "<main><h1>again</h1>"),
        ("<main>", "<main><h4>deep</h4>"),
        ("<main>", "<main><script></script>"),
        ("<main>", '<main><p onclick="f()"></p>'),
        ("<main>", '<main><img src="data:image/png;base64,">'),
        ("<main>", '<main><img src="x.png" alt="x">'),
        ("<main>", '<main><a href="https://example.org">x</a>'),
        ("<main>", '<main><a href="#nowhere">x</a>'),
        ("<main>", '<main><p style="background: url(x)"></p>'),
        ("<main>", '<main><p id="numbers"></p>'),
        ("<main>", "<main>\x1b"),
        ("<main>", "<main>\u202e"),
        ("<style>", "<style>@import 'x';"),
        ("img-src data:", "img-src *"),
        ("<!DOCTYPE html>\n", ""),
    ],
)
def test_the_check_sees_damage(
    damage: tuple[str, str], parts_page: str, check_page: Callable[[str], None]
) -> None:
    """What a page must not have is not overlooked."""
    damaged = parts_page.replace(*damage, 1)

    assert damaged != parts_page
    with pytest.raises(AssertionError):
        check_page(damaged)


def test_hostile_text_stays_text(parts_page: str) -> None:
    """Markup is escaped, control characters and marks of direction are spelled out."""
    assert "<script" not in parts_page
    assert "<img src=x" not in parts_page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in parts_page
    assert "a\\x00\\x1b[31m\\r\\n\\u202eb\\u2066\\xff" in parts_page
    assert "{{ 7 * 7 }} {% raw %}" in parts_page


def test_what_is_not_defined_is_an_error() -> None:
    """A slip in a template does not leave a hole in a page."""
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ rate|percent }}").render()


@pytest.mark.parametrize(
    ("expected", "value"), [("0.3333", 1 / 3), ("n/a", float("nan")), ("3", 3), ("&lt;", "<")]
)
def test_values_without_a_filter_have_one_form(expected: str, value: object) -> None:
    """Numbers too: no page shows sixteen digits."""
    assert expected == environment().from_string("{{ value }}").render(value=value)


def test_a_table_aligns_numbers_and_names_its_rows(parts_page: str) -> None:
    """Cells are numbers but for columns of text; the first cell is the heading of its row."""
    small = parts_page[parts_page.index("<caption><span>small</span></caption>") :]

    assert re.search(r'<th scope="row"><span>energy</span></th>\s*<td>12</td>', small)
    assert 2 == parts_page.count('<tr class="marked">')
    assert 2 == parts_page.count('<tr class="group">')
    assert '<td class="text">' in parts_page


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("background", ["paper", "panel"])
def test_colours_can_be_told_from_the_background(mode: str, background: str) -> None:
    """By the contrast ratio of WCAG 2.2."""
    behind = luminance(getattr(PALETTE[background], mode))
    for name in PALETTE.keys() - {"paper", "panel", "grid"}:
        low, high = sorted((behind, luminance(getattr(PALETTE[name], mode))))
        assert (high + 0.05) / (low + 0.05) >= CONTRAST.get(name, LINE_CONTRAST), name


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_series_differ_to_any_colour_vision(mode: str, vision: str) -> None:
    """By their distance in CIELAB, as people with each of three deficiencies see them."""
    colours = [c for c in PALETTE.values() if c.light in SERIES]
    seen = [lab(VISIONS[vision] @ linear(getattr(colour, mode))) for colour in colours]

    assert len(SERIES) == len(seen)
    for one, other in itertools.combinations(seen, 2):
        assert float(np.linalg.norm(one - other)) >= SMALLEST_DISTANCE


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2.2 defines it."""
    return float(TO_XYZ[1] @ linear(colour))


def linear(colour: str) -> np.ndarray:
    """`#rrggbb` as linear RGB (3,)."""
    channels = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB (3,) as CIELAB, for the white of sRGB."""
    x, y, z = np.cbrt(np.clip(TO_XYZ @ rgb / TO_XYZ.sum(axis=1), 0.01, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_are_all_different() -> None:
    """In a figure, a colour stands for its name."""
    for mode in ("light", "dark"):
        assert len({getattr(colour, mode) for colour in PALETTE.values()}) == len(PALETTE)


def test_a_page_is_written_as_it_is(tmp_path: Path) -> None:
    """As UTF-8, into a folder that need not exist; nothing else is left there."""
    path = tmp_path / "new" / "page.html"

    write_page(path, "<p>ä蓝\n")

    assert "<p>ä蓝\n".encode() == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_a_page_is_known_again(parts_page: str, tmp_path: Path) -> None:
    """Other files, missing ones and pipes are none of ours."""
    write_page(tmp_path / "page.html", parts_page)
    (tmp_path / "other.html").write_text("<!DOCTYPE html>\n<title>mine</title>\n")
    os.mkfifo(tmp_path / "pipe")

    found = [path.name for path in tmp_path.iterdir() if is_page(path)]
    assert ["page.html"] == found
    assert not is_page(tmp_path / "missing.html")
