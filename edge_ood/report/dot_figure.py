"""Dot plots: rates with their intervals, a row for each name and a marker for each series."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_ood.evaluation.values import Interval
from edge_ood.report.figure import new_figure
from edge_ood.report.figure_parts import (
    HAIR,
    NEITHER,
    THIN,
    WIDTH_IN,
    legend_above,
    name_rows,
    percents,
)
from edge_ood.report.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DotRow", "dot_figure"]

_MARKERS = ("o", "s", "D", "^")
_FRAME_IN, _ROW_IN = 1, 0.11
_SPREAD = 0.6
_ROOM_LEFT = 0.03


@dataclass(frozen=True)
class DotRow:
    """One line of a dot plot: by series a rate and its interval, None where it has none."""

    name: str
    rates: Sequence[tuple[float, Interval | None]]


def dot_figure(
    rows: Sequence[DotRow], series: Sequence[str], axis: str, *, promised: float = math.nan
) -> "Figure":
    """Rows from top to bottom with a dot and its interval per series, in percent.

    Args:
        rows: What is compared.
        series: What each of the rates of a row is.
        axis: What the rates are.
        promised: A rate to draw a line at; NaN for none.
    """
    height_in = _FRAME_IN + _ROW_IN * len(rows) * (1 + len(series))
    with new_figure(WIDTH_IN, height_in) as figure:
        axes = figure.subplots()
        for i, name in enumerate(series):
            style: dict[str, Any] = {"color": NEITHER[i % len(NEITHER)]}
            style["marker"] = _MARKERS[i % len(_MARKERS)]
            axes.plot([], [], linestyle="", label=name, **style)
            shift = _SPREAD * (i / len(series) - (len(series) - 1) / (2 * len(series)))
            for place, row in enumerate(rows):
                _draw_dot(axes, place + shift, row.rates[i], style)
        if not math.isnan(promised):
            axes.axvline(100 * promised, color=INK, linewidth=HAIR, linestyle=":")
            axes.set_xlim(left=-_ROOM_LEFT * axes.get_xlim()[1])
        name_rows(axes, [row.name for row in rows])
        axes.set_xlabel(axis)
        legend_above(axes, columns=len(series))
    return figure


def _draw_dot(
    axes: "Axes", place: float, value: tuple[float, Interval | None], style: dict[str, Any]
) -> None:
    rate, interval = value
    if interval is not None:
        ends = percents((interval.low, interval.high))
        axes.plot(ends, (place, place), color=style["color"], linewidth=THIN)
    axes.plot([100 * rate], [place], linestyle="", markersize=5, **style)
