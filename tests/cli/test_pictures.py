"""Images in a terminal are coloured half blocks, where the terminal can."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.cli._pictures import side_by_side


@pytest.fixture
def red_above_blue(tmp_path: Path) -> Path:
    """An image of two halves."""
    pixels = np.zeros((24, 24, 3), np.uint8)
    pixels[:11, :, 0] = 255
    pixels[11:, :, 2] = 255
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    return path


def test_two_rows_of_pixels_are_one_line(
    red_above_blue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreground is the upper pixel, background the lower; of the sixth line they differ."""
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    lines = side_by_side([red_above_blue, red_above_blue]).splitlines()

    assert 12 == len(lines)
    assert [48] * 12 == [line.count("\u2580") for line in lines]
    pairs = [re.findall(r"38;2;([\d;]+)m\x1b\[48;2;([\d;]+)m", line)[0] for line in lines]
    red, blue = "255;0;0", "0;0;255"
    assert [(red, red)] * 5 + [(red, blue)] + [(blue, blue)] * 6 == pairs
    assert all(line.endswith("\x1b[0m") for line in lines)


@pytest.mark.parametrize(
    ("colours", "none", "terminal"),
    [("truecolor", "", False), ("truecolor", "1", True), ("", "", True)],
)
def test_a_terminal_that_cannot_gets_nothing(
    red_above_blue: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    colours: str,
    none: str,
    terminal: bool,
) -> None:
    """A file, NO_COLOR, and a terminal that does not say that it has the colours."""
    monkeypatch.setenv("COLORTERM", colours)
    monkeypatch.setenv("NO_COLOR", none)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    assert "" == side_by_side([red_above_blue])
