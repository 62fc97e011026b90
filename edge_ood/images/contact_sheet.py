"""Small pictures in rows, each in a frame with a caption, as one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_ood.files.text import printable
from edge_ood.images.small_pictures import fitted, small_picture

__all__ = ["Tile", "contact_sheet", "picture_of"]

_SIDE_PX = 112
_FRAME_PX = 4
_GAP_PX = 10
_FONT_PX = 13
_LINE_PX = 17
_COLUMNS = 6
_PAPER, _INK, _MISSING = "#ffffff", "#1b1f24", "#d9dee4"
_FRAME, _MARKED = "#0072b2", "#b5400b"  # as in pages: easy to tell apart for everyone
_UNREADABLE = "cannot be read"


class Tile(NamedTuple):
    """A picture with its caption.

    Attributes:
        picture: RGB, at most as large as `picture_of` makes it; None if it cannot be read.
        lines: Caption; what does not fit below the picture is cut off.
        is_marked: Whether the frame has another colour, as of a flagged image.
    """

    picture: Image.Image | None
    lines: tuple[str, ...]
    is_marked: bool = False


def picture_of(source: Path | NDArray[np.uint8]) -> Image.Image | None:
    """A file, or pixels uint8 (H, W, 3), as a small picture; None if a file cannot be read."""
    if isinstance(source, Path):
        return small_picture(source, _SIDE_PX)
    return fitted(Image.fromarray(np.ascontiguousarray(source)), _SIDE_PX)


def contact_sheet(tiles: Sequence[Tile], note: str = "") -> Image.Image:
    """All tiles, six a row, with a line below them; RGB, on white.

    Args:
        tiles: In the order of reading; there may be none.
        note: The line.
    """
    font = ImageFont.load_default(_FONT_PX)
    n_lines = max((len(tile.lines) for tile in tiles), default=0)
    frame = _SIDE_PX + 2 * _FRAME_PX
    across, down = frame + _GAP_PX, frame + n_lines * _LINE_PX + _GAP_PX
    n_rows = -(-len(tiles) // _COLUMNS)
    width = max(
        min(len(tiles), _COLUMNS) * across, round(font.getlength(printable(note)) + _GAP_PX)
    )
    sheet = Image.new("RGB", (width + _GAP_PX, n_rows * down + _LINE_PX + 2 * _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, _COLUMNS)
        place = (_GAP_PX + column * across, _GAP_PX + row * down)
        _draw_picture(sheet, place, tile)
        for line, text in enumerate(tile.lines):
            at = (place[0], place[1] + frame + line * _LINE_PX)
            draw.text(at, _cut(printable(text), frame, font), _INK, font)
    draw.text((_GAP_PX, n_rows * down + _GAP_PX), printable(note), _INK, font)
    return sheet


def _draw_picture(sheet: Image.Image, place: tuple[int, int], tile: Tile) -> None:
    """The frame, and the picture in its middle."""
    left, top = place
    inside, end = _FRAME_PX, _FRAME_PX + _SIDE_PX
    colour = _MARKED if tile.is_marked else _FRAME
    sheet.paste(colour, (left, top, left + end + _FRAME_PX, top + end + _FRAME_PX))
    empty = _PAPER if tile.picture else _MISSING
    sheet.paste(empty, (left + inside, top + inside, left + end, top + end))
    if tile.picture is None:
        at = (left + 2 * inside, top + end // 2)
        ImageDraw.Draw(sheet).text(at, _UNREADABLE, _INK, ImageFont.load_default(_FONT_PX))
        return
    width, height = tile.picture.size
    at = (left + inside + (_SIDE_PX - width) // 2, top + inside + (_SIDE_PX - height) // 2)
    sheet.paste(tile.picture, at)


def _cut(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, or as much of its beginning as is not wider, with dots."""
    shown = text[:width_px]  # no letter is narrower than a pixel
    if len(text) == len(shown) and font.getlength(shown) <= width_px:
        return text
    while shown and font.getlength(f"{shown}...") > width_px:
        shown = shown[:-1]
    return f"{shown}..."
