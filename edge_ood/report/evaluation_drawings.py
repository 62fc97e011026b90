"""Which figures an evaluation has, for a page and for a folder of files."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.results import ArtifactResult, GroupMetrics, Interval
from edge_ood.files.text import printable
from edge_ood.report.dot_figure import DotRow, dot_figure
from edge_ood.report.evaluation_figures import (
    class_figure,
    confidence_figure,
    corruption_figure,
    pvalue_figure,
    reliability_figure,
    roc_figure,
    score_figure,
)
from edge_ood.report.figure import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Key", "drawings", "shown_heads"]

Key = tuple[str, ...]
"""A kind of figure, and then whose it is: artefact, OOD set or corruption, head, where needed."""

_SUMMARY = {"auroc": "AUROC", "fpr95_id_positive": "FPR95 (ID-positive)"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")
_LONGEST_NAME = 120
_DECISIONS = 0.2
"""The p-values that decisions are made by are small ones."""


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        name: Unlike any other of the evaluation, and safe as a file name.
        title: In a few words, with the names it is about.
        description: What is drawn, for those who do not see it.
        draw: Makes the figure.
    """

    name: str
    title: str
    description: str
    draw: Callable[[], "Figure"]


def drawings(evaluation: Evaluation) -> dict[Key, Drawing]:
    """All figures of an evaluation, in the order of a page."""
    taken: set[str] = set()
    return {
        key: Drawing(_file_name(title, taken), printable(title), description, draw)
        for key, title, description, draw in _all(evaluation)
    }


def shown_heads(evaluation: Evaluation, artifact: ArtifactResult) -> tuple[str, ...]:
    """The heads to see first: the primary one, and the best one of this artefact."""
    best = evaluation.recommendation
    if best is None:
        return (artifact.primary,)
    ranked = [(best.model, best.head), *((rival.model, rival.head) for rival in best.rivals)]
    head = next((head for name, head in ranked if name == artifact.name), artifact.primary)
    return tuple(dict.fromkeys((artifact.primary, head)))


_Found = Iterator[tuple[Key, str, str, Callable[[], "Figure"]]]


def _all(evaluation: Evaluation) -> _Found:
    if len(evaluation.models) > 1 and evaluation.recommendation is not None:
        for metric, title in _SUMMARY.items():
            draw = partial(_comparison_figure, evaluation, metric, f"{title} (%)")
            yield (metric,), f"{title} of all models", "Dots by artefact, with intervals", draw
    for artifact in evaluation.models:
        yield from _of_groups(artifact)
        for name in artifact.ood:
            yield from _of_set(artifact, name)
        yield from _of_id(artifact)
        yield from _of_heads(artifact, shown_heads(evaluation, artifact))
        if artifact.shifted:
            title = f"{artifact.name}: shifted images flagged"
            description = "Dots by head, of ID images and each shifted set, with intervals"
            draw = partial(_shifted_figure, artifact)
            yield ("shifted", artifact.name), title, description, draw
        for corruption in artifact.corruptions:
            title = f"{artifact.name}, {corruption.name}: accuracy and flagged"
            description = "Accuracy and what each head flags, against the strength"
            draw = partial(corruption_figure, artifact, corruption)
            yield ("corrupted", artifact.name, corruption.name), title, description, draw


def _of_groups(artifact: ArtifactResult) -> _Found:
    for metric, title in _SUMMARY.items() if artifact.groups else ():
        draw = partial(_group_figure, artifact, metric, f"{title} (%)")
        title = f"{artifact.name}: {title} by group"
        yield (metric, artifact.name), title, "Dots by head and group, with intervals", draw


def _of_set(artifact: ArtifactResult, name: str) -> _Found:
    title = f"{artifact.name}, {name}: ROC"
    description = "ROC curves of all heads, each with the point where its threshold stands"
    yield ("ROC", artifact.name, name), title, description, partial(roc_figure, artifact, name)
    for head in artifact.heads:
        title = f"{artifact.name}, {name}, {head}: scores"
        description = "Score histograms of ID and OOD images, and TPR and FPR against the threshold"
        draw = partial(score_figure, artifact, name, head)
        yield ("scores", artifact.name, name, head), title, description, draw


def _of_id(artifact: ArtifactResult) -> _Found:
    name = artifact.name
    if artifact.id.is_labelled:
        description = "Accuracy against the probability of the predicted class, in bins"
        draw = partial(reliability_figure, artifact.id)
        yield ("reliability", name), f"{name}: reliability", description, draw
    description = "Mean probability of the predicted class, for ID images and each other set"
    draw = partial(confidence_figure, artifact)
    yield ("confidence", name), f"{name}: probability by set", description, draw
    description = "Fraction of ID images whose p-value is at most a level, for every head"
    draw = partial(pvalue_figure, artifact)
    yield ("p-values", name), f"{name}: p-values", description, draw
    draw = partial(pvalue_figure, artifact, highest=_DECISIONS)
    yield ("small p-values", name), f"{name}: small p-values", description, draw


def _of_heads(artifact: ArtifactResult, heads: Sequence[str]) -> _Found:
    for head in heads:
        title = f"{artifact.name}, {head}: false alarms by class"
        description = "Fraction of ID images flagged, by true and by predicted class"
        draw = partial(class_figure, artifact, head)
        yield ("false alarms by class", artifact.name, head), title, description, draw


def _group_figure(artifact: ArtifactResult, metric: str, label: str) -> "Figure":
    groups = artifact.distinct_groups
    rows = [
        DotRow(head, [_group_rate(artifact, group, head, metric) for group in groups])
        for head in artifact.heads
    ]
    return dot_figure(rows, groups, label)


def _shifted_figure(artifact: ArtifactResult) -> "Figure":
    rows = []
    for head in artifact.heads:
        on_id, on_shifted = (
            artifact.id.heads[head],
            [r.heads[head] for r in artifact.shifted.values()],
        )
        tpr = on_id.intervals.get("realised_tpr")
        interval = None if tpr is None else Interval(1 - tpr.high, 1 - tpr.low)
        rates = [(found.flagged, found.intervals.get("flagged")) for found in on_shifted]
        rows.append(DotRow(head, [(1 - on_id.realised_tpr, interval), *rates]))
    series = ("ID", *map(label, artifact.shifted))
    return dot_figure(rows, series, "images flagged (%)", promised=artifact.alpha)


def _comparison_figure(evaluation: Evaluation, metric: str, label: str) -> "Figure":
    groups = evaluation.models[0].distinct_groups
    rows = [
        DotRow(f"{artifact.name}: {head}", [_group_rate(artifact, g, head, metric) for g in groups])
        for artifact in evaluation.models
        for head in shown_heads(evaluation, artifact)
    ]
    return dot_figure(rows, groups, label)


def _group_rate(
    artifact: ArtifactResult, group: str, head: str, metric: str
) -> tuple[float, Interval | None]:
    result = artifact.groups[group]
    means: GroupMetrics = result.metrics[head]
    return getattr(means, metric), result.intervals.get(head, {}).get(metric)


def _file_name(title: str, taken: set[str]) -> str:
    """A name for any file system: plain letters and digits, and no two alike in any case."""
    name = stem = _UNSAFE.sub("-", title).strip("-.").lower()[:_LONGEST_NAME] or "figure"
    number = 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
