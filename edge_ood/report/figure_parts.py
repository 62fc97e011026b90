"""What several figures share: sizes, widths of lines, colours, names of rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_ood.report.figure import label
from edge_ood.report.palette import ID_COLOUR, INK, OOD_COLOUR, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "HAIR",
    "NEITHER",
    "THICK",
    "THIN",
    "WIDTH_IN",
    "legend_above",
    "name_rows",
    "percents",
]

WIDTH_IN = 4.2
THICK, THIN, HAIR = 2.2, 1.3, 0.8
"""Widths of lines in points."""

NEITHER = (INK, *(colour for colour in SERIES if colour not in (ID_COLOUR, OOD_COLOUR)))
"""Colours of what is neither ID nor OOD, such as heads and groups."""


def legend_above(axes: "Axes", *, columns: int) -> None:
    """A legend that no data are behind."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, columnspacing=1.2)


def name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Names beside the rows 0, 1, ... of a chart, from top to bottom."""
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def percents(rates: Sequence[float]) -> list[float]:
    """Rates in [0, 1] as they are drawn."""
    return [100 * rate for rate in rates]
