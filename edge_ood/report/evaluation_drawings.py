"""Which figures an evaluation has, for a page and for a folder of files."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_ood.evaluation.results import Evaluation, GroupMetrics, Interval, ModelResult
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawing", "Key", "drawings", "shown_heads"]

Key = tuple[str, ...]
"""A kind of figure, and then whose it is: model, OOD set or corruption, head, as far as needed."""

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


def shown_heads(evaluation: Evaluation, model: ModelResult) -> tuple[str, ...]:
    """The heads to see first: the primary one, and the best one of this artefact."""
    best = evaluation.recommendation
    if best is None:
        return (model.primary,)
    ranked = [(best.model, best.head), *((rival.model, rival.head) for rival in best.rivals)]
    head = next((head for name, head in ranked if name == model.name), model.primary)
    return tuple(dict.fromkeys((model.primary, head)))


_Found = Iterator[tuple[Key, str, str, Callable[[], "Figure"]]]


def _all(evaluation: Evaluation) -> _Found:
    if len(evaluation.models) > 1 and evaluation.recommendation is not None:
        for metric, title in _SUMMARY.items():
            draw = partial(_comparison_figure, evaluation, metric, f"{title} (%)")
            yield (metric,), f"{title} of all models", "Dots by model, with intervals", draw
    for model in evaluation.models:
        yield from _of_groups(model)
        for name in model.ood:
            yield from _of_set(model, name)
        yield from _of_id(model)
        yield from _of_heads(model, shown_heads(evaluation, model))
        for corruption in model.corruptions:
            title = f"{model.name}, {corruption.name}: accuracy and flagged"
            description = "Accuracy and what each head flags, against the strength"
            draw = partial(corruption_figure, model, corruption)
            yield ("corrupted", model.name, corruption.name), title, description, draw


def _of_groups(model: ModelResult) -> _Found:
    for metric, title in _SUMMARY.items() if model.groups else ():
        draw = partial(_group_figure, model, metric, f"{title} (%)")
        title = f"{model.name}: {title} by group"
        yield (metric, model.name), title, "Dots by head and group, with intervals", draw


def _of_set(model: ModelResult, name: str) -> _Found:
    title = f"{model.name}, {name}: ROC"
    description = "ROC curves of all heads, each with the point where its threshold stands"
    yield ("ROC", model.name, name), title, description, partial(roc_figure, model, name)
    for head in model.heads:
        title = f"{model.name}, {name}, {head}: scores"
        description = "Score histograms of ID and OOD images, and TPR and FPR against the threshold"
        draw = partial(score_figure, model, name, head)
        yield ("scores", model.name, name, head), title, description, draw


def _of_id(model: ModelResult) -> _Found:
    name = model.name
    if model.id.is_labelled:
        description = "Accuracy against the probability of the predicted class, in bins"
        draw = partial(reliability_figure, model.id)
        yield ("reliability", name), f"{name}: reliability", description, draw
    description = "Mean probability of the predicted class, for ID images and each OOD set"
    draw = partial(confidence_figure, model)
    yield ("confidence", name), f"{name}: probability by set", description, draw
    description = "Fraction of ID images whose p-value is at most a level, for every head"
    draw = partial(pvalue_figure, model)
    yield ("p-values", name), f"{name}: p-values", description, draw
    draw = partial(pvalue_figure, model, highest=_DECISIONS)
    yield ("small p-values", name), f"{name}: small p-values", description, draw


def _of_heads(model: ModelResult, heads: Sequence[str]) -> _Found:
    for head in heads:
        title = f"{model.name}, {head}: false alarms by class"
        description = "Fraction of ID images flagged, by true and by predicted class"
        draw = partial(class_figure, model, head)
        yield ("false alarms by class", model.name, head), title, description, draw


def _group_figure(model: ModelResult, metric: str, label: str) -> "Figure":
    groups = model.distinct_groups
    rows = [
        DotRow(head, [_group_rate(model, group, head, metric) for group in groups])
        for head in model.heads
    ]
    return dot_figure(rows, groups, label)


def _comparison_figure(evaluation: Evaluation, metric: str, label: str) -> "Figure":
    groups = evaluation.models[0].distinct_groups
    rows = [
        DotRow(f"{model.name}: {head}", [_group_rate(model, g, head, metric) for g in groups])
        for model in evaluation.models
        for head in shown_heads(evaluation, model)
    ]
    return dot_figure(rows, groups, label)


def _group_rate(
    model: ModelResult, group: str, head: str, metric: str
) -> tuple[float, Interval | None]:
    result = model.groups[group]
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
