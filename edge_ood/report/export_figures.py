"""Figures of an artefact: parity, what was chosen, where the bytes are, calibration scores."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ood.report.export_document import CalibrationScores
from edge_ood.report.figure import label, new_figure
from edge_ood.report.figure_parts import name_rows
from edge_ood.report.palette import ID_COLOUR, INK, MUTED, OOD_COLOUR, PAPER
from edge_ood.report.shares import common_edges, shares_in_bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "class_scores_figure",
    "epsilon_figure",
    "parity_figure",
    "score_figure",
    "shares_figure",
]

_WIDTH_IN, _HEIGHT_IN = 3.6, 2.4
_ROW_IN, _MARGIN_IN = 0.24, 0.75
_BINS = 30
_CRITERIA = {
    "outliers": "AUROC against outliers",
    "fgsm": "AUROC against FGSM images",
    "id-only": "minus the mean ID score",
}
"""What is maximised, by the name of the criterion."""

_LEAST_ERROR = 1e-12
"""Exact results stand here, as a logarithm has no zero."""


def parity_figure(worst: Sequence[Mapping[str, Any]]) -> "Figure":
    """Error and allowed error by output, on a logarithmic axis; dots and ticks.

    Args:
        worst: `output`, `error` and `allowed`, in the order from top to bottom.
    """
    names = [case["output"] for case in worst]
    errors = np.maximum([case["error"] for case in worst], _LEAST_ERROR)
    allowed = np.array([case["allowed"] for case in worst])
    rows = np.arange(len(worst))
    with new_figure(1.25 * _WIDTH_IN, _ROW_IN * len(worst) + _MARGIN_IN) as figure:
        axes = figure.subplots()
        axes.hlines(rows, errors, allowed, color=MUTED, linewidth=0.8)
        axes.plot(allowed, rows, "|", color=INK, markersize=10, markeredgewidth=2, label="allowed")
        axes.plot(errors, rows, "o", color=ID_COLOUR, markersize=6, label="largest error")
        axes.set_xscale("log")
        axes.locator_params(axis="x", numticks=5)
        axes.xaxis.set_major_formatter("{x:g}")
        _name_rows(axes, names)
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def epsilon_figure(choice: Mapping[str, Any]) -> "Figure":
    """The criterion at every step length that was tried, the chosen one marked.

    Args:
        choice: `epsilon`, `criterion` and `curve`, whose keys are numbers.
    """
    steps = sorted(choice["curve"], key=float)
    values = [choice["curve"][step] for step in steps]
    with new_figure(_WIDTH_IN, _HEIGHT_IN) as figure:
        axes = figure.subplots()
        axes.plot([float(step) for step in steps], values, marker="o", markersize=4)
        chosen = f"{choice['epsilon']:g}"
        if chosen in choice["curve"]:
            (ring,) = axes.plot(float(chosen), choice["curve"][chosen], "o", label="chosen")
            ring.set(color=OOD_COLOUR, markersize=9, markerfacecolor="none")
            axes.legend()
        axes.set_xlabel("epsilon (of pixels in [0, 1])")
        axes.set_ylabel(_CRITERIA.get(choice["criterion"], label(choice["criterion"])))
    return figure


def shares_figure(shares: Mapping[str, float], title: str) -> "Figure":
    """Horizontal bars by name, from top to bottom."""
    with new_figure(_WIDTH_IN, _ROW_IN * len(shares) + _MARGIN_IN) as figure:
        axes = figure.subplots()
        axes.barh(np.arange(len(shares)), list(shares.values()), height=0.6, color=ID_COLOUR)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel(title)
        _name_rows(axes, list(shares))
    return figure


def score_figure(scores: CalibrationScores, name: str) -> "Figure":
    """Histogram of calibration scores with the threshold; what lies beyond it is flagged."""
    edges = common_edges([scores.values, [scores.threshold]], _BINS)
    shares = 100 * shares_in_bins(scores.values, scores.levels, edges)
    with new_figure(_WIDTH_IN, _HEIGHT_IN) as figure:
        axes = figure.subplots()
        axes.stairs(shares, edges, fill=True, color=ID_COLOUR, alpha=0.35)
        axes.stairs(shares, edges, color=ID_COLOUR, linewidth=1)
        axes.axvline(scores.threshold, color=OOD_COLOUR, linewidth=1.4, label="threshold")
        axes.axvspan(scores.threshold, edges[-1], color=OOD_COLOUR, alpha=0.12, linewidth=0)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(label(name))
        axes.set_ylabel("share of images (%)")
        figure.legend(loc="outside upper right")
    return figure


def class_scores_figure(classes: Sequence[CalibrationScores], name: str) -> "Figure":
    """Where the calibration scores of each predicted class lie, and its threshold."""
    rows = np.arange(len(classes))
    with new_figure(_WIDTH_IN, _ROW_IN * len(classes) + _MARGIN_IN + 0.2) as figure:
        axes = figure.subplots()
        for row, scores in zip(rows, classes, strict=True):
            low, middle, high = np.interp([0.05, 0.5, 0.95], scores.levels, scores.values)
            axes.plot(scores.values[[0, -1]], [row, row], color=MUTED, linewidth=0.8)
            axes.plot([low, high], [row, row], color=ID_COLOUR, linewidth=4, solid_capstyle="butt")
            axes.plot(middle, row, "o", color=PAPER, markersize=4)
        limits = [scores.threshold for scores in classes]
        (ticks,) = axes.plot(limits, rows, "|", color=OOD_COLOUR, label="threshold")
        ticks.set(markersize=10, markeredgewidth=2)
        axes.set_xlabel(label(name))
        _name_rows(axes, [scores.name for scores in classes])
        figure.legend(loc="outside upper right")
    return figure


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Rows from top to bottom, each with its name and no mark beside it."""
    name_rows(axes, names)
    axes.tick_params(axis="y", length=0)
