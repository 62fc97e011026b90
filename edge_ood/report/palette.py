"""The colours of pages and figures, each for light and for dark surroundings.

The hues are those of Okabe and Ito (Color Universal Design, 2008). Their lightness is moved so that
lines have enough contrast on the background, and differ to people with any colour vision.
"""

from typing import NamedTuple

__all__ = [
    "GRID",
    "ID_COLOUR",
    "INK",
    "MUTED",
    "OOD_COLOUR",
    "PALETTE",
    "PAPER",
    "SERIES",
    "Colour",
]


class Colour(NamedTuple):
    """One colour as `#rrggbb`, for a light and for a dark page."""

    light: str
    dark: str


PALETTE = {
    "paper": Colour("#ffffff", "#14171c"),
    "panel": Colour("#f4f6f8", "#1d2229"),
    "ink": Colour("#1b1f24", "#e7eaee"),
    "muted": Colour("#586069", "#a3acb6"),
    "grid": Colour("#d9dee4", "#353c45"),
    "link": Colour("#00639b", "#7cc4f0"),
    "blue": Colour("#0072b2", "#4aa3e0"),
    "vermilion": Colour("#b5400b", "#e06a33"),
    "green": Colour("#009e73", "#35c79b"),
    "purple": Colour("#c06aa0", "#cf86b3"),
    "orange": Colour("#b88200", "#f2cb4d"),
    "slate": Colour("#333a41", "#eef2f6"),
}
"""Colours by name; pages know each as the CSS variable `--name`."""

PAPER, INK = PALETTE["paper"].light, PALETTE["ink"].light
MUTED, GRID = PALETTE["muted"].light, PALETTE["grid"].light
SERIES = tuple(
    PALETTE[name].light for name in ("blue", "vermilion", "green", "purple", "orange", "slate")
)
"""For lines and bars, in this order; what is drawn with them follows light and dark."""
ID_COLOUR, OOD_COLOUR = SERIES[0], SERIES[1]
