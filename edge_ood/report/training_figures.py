"""Figures of a training run: learning curves, and energies before and after."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edge_ood.report.figure import label, new_figure
from edge_ood.report.palette import ID_COLOUR, INK, OOD_COLOUR, SERIES
from edge_ood.report.shares import common_edges, shares_in_bins
from edge_ood.training.energies import Energies, EnergySample
from edge_ood.training.run_directory import EpochReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["SPLIT_NAMES", "accuracy_figure", "energy_figures", "loss_figure", "rate_figure"]

SPLIT_NAMES = {
    "validation": "validation images",
    "training": "training images",
    "outliers": "outliers",
    "unlabelled": "unlabelled images",
}
"""Splits whose energies are known, as figures and tables call them."""

_SPLIT_COLOURS = {
    "validation": ID_COLOUR,
    "training": ID_COLOUR,
    "outliers": OOD_COLOUR,
    "unlabelled": SERIES[3],
}
_BINS = 40
_WIDTH_IN, _HEIGHT_IN = 3.6, 2.5
_HUNDRED = 100.0
_FEW_EPOCHS = 12
"""Up to so many, each has a mark of its own."""

_DECADES_FOR_LOG = 100
"""From so large a quotient of the largest and the smallest value on, an axis is logarithmic."""


def loss_figure(epochs: Sequence[EpochReport], *, kept: int | None = None) -> "Figure":
    """Mean training loss of each epoch, with a line at the epoch that was kept, if one is given."""
    return _curves(epochs, {"": lambda e: e.training_loss}, "training loss (nats)", kept=kept)


def accuracy_figure(epochs: Sequence[EpochReport], *, kept: int | None = None) -> "Figure":
    """Validation accuracy of each epoch, of the heads too where there are two; `kept` as above."""
    columns: dict[str, Callable[[EpochReport], float]] = {
        "both heads": lambda e: 100 * e.validation_accuracy,
        "first head": lambda e: 100 * e.first_head_accuracy,
        "second head": lambda e: 100 * e.second_head_accuracy,
    }
    if np.isnan(epochs[-1].second_head_accuracy):
        columns = {"": columns["both heads"]}
    return _curves(epochs, columns, "validation accuracy (%)", most=_HUNDRED, kept=kept)


def rate_figure(epochs: Sequence[EpochReport]) -> "Figure":
    """Learning rate of the last step of each epoch."""
    return _curves(epochs, {"": lambda e: e.learning_rate}, "learning rate")


def energy_figures(energies: Energies, margins: Mapping[str, float]) -> "dict[str, Figure]":
    """Histograms of the energies of every split, by moment, on one axis.

    Args:
        energies: At least one sample.
        margins: Energies by name, such as `m_in`, that are drawn as lines.
    """
    moments = {"before": energies.before, "after": energies.after}
    every = [s.quantiles for samples in moments.values() for s in samples.values()]
    edges = common_edges([*every, *[[value] for value in margins.values()]], _BINS)
    return {
        moment: _histograms(samples, edges, margins)
        for moment, samples in moments.items()
        if samples
    }


def _histograms(
    samples: Mapping[str, EnergySample], edges: "NDArray[np.float64]", margins: Mapping[str, float]
) -> "Figure":
    """Every set to the same height: a sharp one would make the others flat."""
    with new_figure(_WIDTH_IN, _HEIGHT_IN) as figure:
        axes = figure.subplots()
        for split, sample in samples.items():
            levels = np.linspace(0, 1, len(sample.quantiles))
            shares = shares_in_bins(sample.quantiles, levels, edges)
            heights = shares / shares.max()
            colour = _SPLIT_COLOURS.get(split, SERIES[-1])
            axes.stairs(heights, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(heights, edges, color=colour, label=SPLIT_NAMES.get(split, label(split)))
        for name, value in margins.items():
            axes.vlines(value, 0, 1.05, color=INK, linewidth=1, linestyle="--")
            axes.text(value, 1.12, name, ha="center", va="center")
        axes.set_ylim(0, 1.2 if margins else 1.05)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("energy (nats)")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def _curves(
    epochs: Sequence[EpochReport],
    columns: Mapping[str, Callable[[EpochReport], float]],
    title: str,
    *,
    most: float = math.inf,
    kept: int | None = None,
) -> "Figure":
    """One line for each column, over the epochs; no axis goes beyond the largest value possible.

    A dashed line stands at the epoch that was kept.
    """
    numbers = [epoch.epoch for epoch in epochs]
    marker = "o" if len(epochs) <= _FEW_EPOCHS else ""
    values = {name: [column(epoch) for epoch in epochs] for name, column in columns.items()}
    with new_figure(_WIDTH_IN, _HEIGHT_IN) as figure:
        axes = figure.subplots()
        for name, line in values.items():
            axes.plot(numbers, line, marker=marker, markersize=3.5, label=name)
        if _spans_decades([v for line in values.values() for v in line]):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.01 * most))
        if kept is not None:
            whole_height = axes.get_xaxis_transform()
            axes.vlines(kept, 0, 1, transform=whole_height, color=INK, linewidth=1, linestyle="--")
            axes.text(kept, 1.02, "kept", transform=whole_height, ha="center", va="bottom")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.locator_params(axis="x", integer=True)
        if len(columns) > 1:
            axes.legend()
    return figure


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _DECADES_FOR_LOG * min(values)
