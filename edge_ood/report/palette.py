"""The colours of pages and figures, each for light and for dark surroundings.

The hues are those of Okabe and Ito (Color Universal Design, 2008), which people with any colour
vision tell apart; their lightness is moved where a line would be too faint on the background.
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
    "blue": Colour("#0072b2", "#56b4e9"),
    "vermillion": Colour("#d35400", "#f58549"),
    "green": Colour("#008a64", "#2fbf95"),
    "purple": Colour("#b0558a", "#dd93bd"),
    "orange": Colour("#a87400", "#e6a71e"),
    "grey": Colour("#66707a", "#b4bcc4"),
}
"""Colours by name; pages know each as the CSS variable `--name`."""

PAPER, INK = PALETTE["paper"].light, PALETTE["ink"].light
MUTED, GRID = PALETTE["muted"].light, PALETTE["grid"].light
SERIES = tuple(
    PALETTE[name].light for name in ("blue", "vermillion", "green", "purple", "orange", "grey")
)
"""For lines and bars, in this order; what is drawn with them follows light and dark."""
ID_COLOUR, OOD_COLOUR = SERIES[0], SERIES[1]
