"""The figures of an evaluation, each a function of fields of its results and of nothing else.

Rates are drawn in percent. ID images have one colour and OOD images another in every figure; a
head keeps its colour and its line within an artefact, and the primary head is drawn thicker.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_ood.evaluation.results import (
    ArtifactResult,
    ClassAlarms,
    CorruptionResult,
    IdResult,
)
from edge_ood.report.dot_figure import DotRow, dot_figure
from edge_ood.report.figure import label, new_figure
from edge_ood.report.figure_parts import (
    HAIR,
    NEITHER,
    THICK,
    THIN,
    WIDTH_IN,
    legend_above,
    name_rows,
    percents,
)
from edge_ood.report.palette import ID_COLOUR, INK, MUTED, OOD_COLOUR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MOST_CLASSES",
    "class_figure",
    "confidence_figure",
    "corruption_figure",
    "pvalue_figure",
    "reliability_figure",
    "roc_figure",
    "score_figure",
]

MOST_CLASSES = 20
"""Classes in a figure; the table beside it has all of them."""

_TALL_IN, _LOW_IN = 3.8, 3.0
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 3)))
_LEGEND_WIDTH_PT, _LEGEND_ROW_IN = 280, 0.17
_ENTRY_PT, _LETTER_PT = 30, 5
_NEAR_CORNER, _CORNER = 0.9, 20
_FILL = 0.25
_OUT_OF_VIEW = 0.5


def score_figure(artifact: ArtifactResult, name: str, head: str) -> "Figure":
    """Histograms of a head's scores, and below them what each threshold accepts.

    Both share the axis of the score, so that the artefact's threshold crosses both; thresholds
    that differ by predicted class are a band.
    """
    outcome = artifact.ood[name]
    histogram, curve = outcome.histograms[head], outcome.curves[head]
    with new_figure(WIDTH_IN, _TALL_IN) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for colour, whose, density in (
            (ID_COLOUR, "ID", histogram.id_density),
            (OOD_COLOUR, "OOD", histogram.ood_density),
        ):
            shares = percents(density)
            upper.stairs(shares, histogram.edges, fill=True, color=colour, alpha=_FILL)
            upper.stairs(shares, histogram.edges, color=colour, linewidth=THIN, label=whose)
        accepted = (("TPR, ID", curve.tpr, ID_COLOUR), ("FPR, OOD", curve.fpr, OOD_COLOUR))
        for whose, rates, colour in accepted:
            lower.plot(curve.thresholds, percents(rates), color=colour, label=whose)
        legend_above(lower, columns=2)
        _mark_thresholds((upper, lower), histogram.edges, artifact.id.heads[head].thresholds)
        upper.set_ylabel("images (%)")
        lower.set(ylabel="accepted (%)", ylim=(-4, 104))
        lower.set_xlabel(f"{label(head)} score, larger is more OOD")
        legend_above(upper, columns=3)
    return figure


def roc_figure(artifact: ArtifactResult, name: str) -> "Figure":
    """ROC curves of all heads on one OOD set; a dot is where a head's own thresholds stand.

    Where all curves are near the upper left corner, that corner is drawn once more, larger.
    """
    outcome = artifact.ood[name]
    with new_figure(WIDTH_IN, _TALL_IN + _legend_in(artifact)) as figure:
        axes = figure.subplots()
        axes.plot((0, 100), (0, 100), color=MUTED, linewidth=HAIR, linestyle=":")
        _draw_roc(axes, artifact, name)
        axes.set(
            xlabel="FPR: OOD images accepted (%)",
            ylabel="TPR: ID images accepted (%)",
            xlim=(-2, 102),
            ylim=(-2, 102),
        )
        legend_above(axes, columns=_legend_columns(artifact))
        if all(pair.auroc >= _NEAR_CORNER for pair in outcome.metrics.values()):
            corner = axes.inset_axes((0.36, 0.1, 0.6, 0.58))
            _draw_roc(corner, artifact, name)
            corner.set(xlim=(-0.5, _CORNER), ylim=(100 - _CORNER, 100.5))
    return figure


def _draw_roc(axes: "Axes", artifact: ArtifactResult, name: str) -> None:
    outcome = artifact.ood[name]
    for head, style in _styles(artifact).items():
        curve = outcome.curves[head]
        # A threshold below every score accepts nothing.
        axes.plot((0, *percents(curve.fpr)), (0, *percents(curve.tpr)), label=label(head), **style)
        ours = percents((1 - outcome.flagged[head], artifact.id.heads[head].realised_tpr))
        axes.plot(*([rate] for rate in ours), "o", color=style["color"], markersize=5)


def reliability_figure(on_id: IdResult) -> "Figure":
    """Accuracy against confidence in bins, and below them how many images each bin has."""
    bins = on_id.reliability
    width = 100 / len(bins.count)
    lefts = [width * i for i in range(len(bins.count))]
    with new_figure(WIDTH_IN, _TALL_IN) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        accuracy, confidence = percents(bins.accuracy), percents(bins.confidence)
        heights = [0.0 if math.isnan(rate) else rate for rate in accuracy]
        upper.bar(lefts, heights, width, align="edge", color=ID_COLOUR, alpha=_FILL)
        upper.plot(confidence, accuracy, "o", color=ID_COLOUR, markersize=4, label="mean of a bin")
        upper.plot((0, 100), (0, 100), ":", color=INK, linewidth=THIN, label="calibrated")
        upper.set(ylabel="accuracy (%)", ylim=(0, 103), xlim=(0, 101))
        lower.bar(lefts, bins.count, width, align="edge", color=MUTED)
        lower.set(ylabel="images", xlabel="probability of the predicted class (%)")
        legend_above(upper, columns=2)
    return figure


def confidence_figure(artifact: ArtifactResult) -> "Figure":
    """Mean probability of the predicted class: ID, right and wrong predictions, each other set."""
    on_id = artifact.id
    rows = [
        ("ID", on_id.mean_max_probability, ID_COLOUR),
        ("ID, right", on_id.mean_max_probability_right, ID_COLOUR),
        ("ID, wrong", on_id.mean_max_probability_wrong, ID_COLOUR),
    ]
    rows += [(name, r.mean_max_probability, ID_COLOUR) for name, r in artifact.shifted.items()]
    rows += [(name, r.mean_max_probability, OOD_COLOUR) for name, r in artifact.ood.items()]
    shown = [row for row in rows if not math.isnan(row[1])]
    with new_figure(WIDTH_IN, 0.8 + 0.26 * len(shown)) as figure:
        axes = figure.subplots()
        for place, (_, rate, colour) in enumerate(shown):
            axes.barh(place, 100 * rate, 0.6, color=colour, alpha=_FILL)
            axes.plot([100 * rate], [place], "o", color=colour, markersize=5)
        name_rows(axes, [name for name, _, _ in shown])
        axes.set(xlabel="mean probability of the predicted class (%)", xlim=(0, 102))
    return figure


def pvalue_figure(artifact: ArtifactResult, *, highest: float = 1.0) -> "Figure":
    """Fraction of ID images whose p-value is at most a level, for levels up to `highest`."""
    with new_figure(WIDTH_IN, _LOW_IN + _legend_in(artifact)) as figure:
        axes = figure.subplots()
        axes.plot((0, 100), (0, 100), color=INK, linewidth=HAIR, linestyle=":", label="calibrated")
        if not math.isnan(artifact.alpha):
            axes.axvline(100 * artifact.alpha, color=MUTED, linewidth=HAIR, label="level in use")
        for head, style in _styles(artifact).items():
            curve = artifact.id.heads[head].pvalues
            axes.plot(percents(curve.levels), percents(curve.flagged), label=label(head), **style)
        axes.set(
            xlabel="level of the p-value (%)",
            ylabel="ID images flagged (%)",
            xlim=(0, 100 * highest),
            ylim=(0, 103 * max(highest, _most_flagged(artifact, highest))),
        )
        legend_above(axes, columns=_legend_columns(artifact))
    return figure


def class_figure(artifact: ArtifactResult, head: str) -> "Figure":
    """False alarms of one head by true and by predicted class, the most frequent ones first.

    Classes without an image are left out, and so are true classes without labels.
    """
    met = [c for c in artifact.id.heads[head].classes if c.n_true or c.n_predicted]
    worst = sorted(met, key=_alarms, reverse=True)[:MOST_CLASSES]
    first = 0 if artifact.id.is_labelled else 1
    rows = [
        DotRow(c.name, ((c.flagged_true, None), (c.flagged_predicted, None))[first:]) for c in worst
    ]
    series = ("by true class", "by predicted class")[first:]
    return dot_figure(rows, series, "ID images flagged (%)", promised=artifact.alpha)


def corruption_figure(artifact: ArtifactResult, corruption: CorruptionResult) -> "Figure":
    """Accuracy and what each head flags, from the clean ID images to the strongest corruption."""
    steps = [0, *(result.strength for result in corruption.strengths)]
    accuracy = [artifact.id.accuracy, *(result.accuracy for result in corruption.strengths)]
    with new_figure(WIDTH_IN, _LOW_IN + _legend_in(artifact)) as figure:
        axes = figure.subplots()
        if not math.isnan(artifact.id.accuracy):
            shown = percents(accuracy)
            axes.plot(steps, shown, "o-", color=ID_COLOUR, markersize=4, label="accuracy")
        for head, style in _styles(artifact).items():
            flagged = [1 - artifact.id.heads[head].realised_tpr]
            flagged += [result.flagged[head] for result in corruption.strengths]
            axes.plot(steps, percents(flagged), label=label(head), **style)
        axes.set(xlabel="strength, 0 is clean", ylabel="images (%)", ylim=(-3, 103), xticks=steps)
        legend_above(axes, columns=_legend_columns(artifact))
    return figure


def _mark_thresholds(
    panels: Sequence["Axes"], edges: Sequence[float], thresholds: Sequence[float]
) -> None:
    """Draw the artefact's thresholds, and bring them into view unless they are far out."""
    finite = [value for value in thresholds if math.isfinite(value)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    room = _OUT_OF_VIEW * (edges[-1] - edges[0])
    left = min(edges[0], max(low, edges[0] - room))
    right = max(edges[-1], min(high, edges[-1] + room))
    margin = 0.02 * (right - left)
    panels[0].set_xlim(left - margin, right + margin)
    for axes in panels:
        if low < high:
            axes.axvspan(low, high, color=MUTED, alpha=_FILL, linewidth=0, label="thresholds")
        else:
            axes.axvline(low, color=INK, linewidth=THIN, label="threshold")


def _styles(artifact: ArtifactResult) -> dict[str, dict[str, Any]]:
    """A colour, a line and a width for each head, the primary one first."""
    heads = sorted(artifact.heads, key=lambda head: head != artifact.primary)
    return {
        head: {
            "color": NEITHER[i % len(NEITHER)],
            "linestyle": _LINES[i % len(_LINES)],
            "linewidth": THIN if i else THICK,
        }
        for i, head in enumerate(heads)
    }


def _legend_columns(artifact: ArtifactResult) -> int:
    """How many names of heads stand side by side in a legend."""
    longest = max(len(label(head)) for head in artifact.heads)
    fitting = _LEGEND_WIDTH_PT // (_ENTRY_PT + _LETTER_PT * longest)
    return max(1, min(fitting, len(artifact.heads)))


def _legend_in(artifact: ArtifactResult) -> float:
    """How much higher a figure is for its legend of all heads, in inches."""
    return _LEGEND_ROW_IN * math.ceil(len(artifact.heads) / _legend_columns(artifact))


def _most_flagged(artifact: ArtifactResult, highest: float) -> float:
    """The largest fraction flagged at levels up to one."""
    return max(
        flagged
        for head in artifact.id.heads.values()
        for level, flagged in zip(head.pvalues.levels, head.pvalues.flagged, strict=True)
        if level <= highest
    )


def _alarms(alarms: ClassAlarms) -> float:
    rates = (alarms.flagged_true, alarms.flagged_predicted)
    return max((rate for rate in rates if not math.isnan(rate)), default=0.0)
