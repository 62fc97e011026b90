"""The page of `edge-ood explain`: one image, what the network saw of it, and what it said."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.report.page import render
from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR
from edge_ood.report.thumbnails import thumbnail_of
from edge_ood.runtime import explanation_text as words
from edge_ood.runtime.explanation import Explanation
from edge_ood.scores import BoundHead, heads_where

__all__ = ["explanation_page", "overlay"]

_SIDE_PX = 320
_OPACITY = 0.75
_PALE = 0.45
"""How much of its contrast the grey picture below colours keeps."""

_BLUR = 1 / 48
"""Radius of the blur of a gradient, as a share of the picture's side."""


class _Picture(NamedTuple):
    """A data URI, what the picture is, and its caption."""

    image: str
    name: str
    caption: str


def explanation_page(found: Explanation) -> str:
    """The page as HTML.

    Args:
        found: What is explained.

    Raises:
        MissingDependencyError: If Jinja2 is not installed.
    """
    path = found.verdict.path
    return render(
        "explanation.html",
        found=found,
        name="an image" if path is None else path.name,
        path="" if path is None else str(path),
        decision=_sentence(words.decision(found)),
        where=_sentence(words.where(found)),
        feeding=_sentence(words.feeding(found)),
        agreement=_sentence(words.agreement(found)),
        nearness=_sentence(words.nearness(found)),
        probabilities=words.probabilities(found.probable),
        head_rows=[words.head_cells(head) for head in found.heads],
        class_headings=words.class_headings(found),
        class_rows=[words.class_cells(answer) for answer in found.nearest],
        deciding=[i for i, head in enumerate(found.heads) if head.decides],
        moving=heads_where(_moves_images)[::-1],
        pictures=list(_pictures(found)),
    )


def _moves_images(bound: BoundHead) -> bool:
    return bound.epsilon > 0


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def overlay(seen: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A map over a pale grey picture: vermilion where it is positive, blue where negative.

    Args:
        seen: The picture (H, W, 3), RGB.
        values: The map (G, G'), of any size; the largest in size is the most opaque.

    Returns:
        Pixels (S, S, 3), S being 320; the map is interpolated.
    """
    side = (_SIDE_PX, _SIDE_PX)
    grey = np.asarray(Image.fromarray(seen).convert("L").resize(side), np.float64)
    base = np.repeat((255 - _PALE * (255 - grey))[..., None], 3, axis=2)
    largest = float(np.abs(values).max())
    scaled = values / largest if largest > 0 else values
    field = Image.fromarray(scaled.astype(np.float32)).resize(side, Image.Resampling.BILINEAR)
    amount = np.asarray(field, np.float64)[..., None]
    colours = np.where(amount > 0, _rgb(OOD_COLOUR), _rgb(ID_COLOUR))
    opacity = _OPACITY * np.abs(amount)
    return (base * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def _pictures(found: Explanation) -> Iterator[_Picture]:
    head, side = found.deciding.name, found.seen_px
    cut = "; what is pale was cut off" if _is_cut(found) else ""
    yield _picture(_framed(found), "the whole image", f"The image{cut}.")
    seen = f"What the network saw, {side} x {side} px."
    yield _picture(found.seen, "what the network saw", seen)
    caption = (
        f"Covered patch by patch: vermilion patches raise {head}, so they make the image more "
        "suspicious; blue ones lower it."
    )
    yield _picture(overlay(found.seen, found.falls), f"which patches raise {head}", caption)
    if found.gradient is not None:
        of = found.gradient_head
        smooth = overlay(found.seen, _smooth(found.gradient))
        caption = f"Pixels that the loss of {of} depends on most, by the gradient in the file."
        yield _picture(smooth, f"gradient of {of}", caption)


def _picture(pixels: NDArray[np.uint8], name: str, caption: str) -> _Picture:
    return _Picture(thumbnail_of(pixels, side_px=_SIDE_PX), name, caption)


def _is_cut(found: Explanation) -> bool:
    return found.seen_box != (0, 0, *found.size_px)


def _framed(found: Explanation) -> NDArray[np.uint8]:
    """The picture, pale where the network saw nothing of it."""
    height, width = found.picture.shape[:2]
    left, top, right, bottom = found.seen_box
    across, down = width / found.size_px[0], height / found.size_px[1]
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    inside = (rows >= top * down) & (rows <= bottom * down)
    inside = inside & (columns >= left * across) & (columns <= right * across)
    pale = 255 - _PALE * (255 - found.picture.astype(np.float64))
    pixels: NDArray[np.uint8] = np.where(inside[..., None], found.picture, pale).astype(np.uint8)
    return pixels


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A map (S, S) blurred by a box, twice, and again from 0 to 1."""
    radius = max(1, round(_BLUR * len(values)))
    kernel = np.ones(2 * radius + 1) / (2 * radius + 1)
    for axis in (0, 1, 0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(values, pad, mode="edge")
        values = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    largest = float(values.max())
    return values / largest if largest > 0 else values


def _rgb(colour: str) -> NDArray[np.float64]:
    """`#rrggbb` as (3,)."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
