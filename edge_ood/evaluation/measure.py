"""What the answers of one artefact amount to, on ID images and on OOD images against these."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ood.evaluation.curves import histogram, pvalue_curve, threshold_curve
from edge_ood.evaluation.results import (
    ClassAlarms,
    ClassQuality,
    FullSpectrum,
    HeadOnId,
    HeadOnShifted,
    IdResult,
    OodResult,
    OperatingPoint,
    Reliability,
    ShiftedResult,
)
from edge_ood.evaluation.scored import Scored
from edge_ood.images.class_names import class_positions
from edge_ood.images.folders import ImageSet
from edge_ood.metrics import classification, detection
from edge_ood.metrics.detection import Misclassification

__all__ = [
    "measure_id",
    "measure_ood",
    "measure_operating_points",
    "measure_shifted",
    "true_labels",
]

_EXAMPLES = 12
_MOST_SHOWN = 30
"""Classes of a confusion matrix that somebody would look at."""

_ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)
_UNKNOWN = -1


def true_labels(images: ImageSet, classes: Sequence[str]) -> NDArray[np.int64] | None:
    """Labels (N,) of images as indices into an artefact's classes; None if one has none there.

    Args:
        images: Labelled or not; only classes that have images matter.
        classes: K class names.
    """
    if images.labels is None:
        return None
    found = class_positions(images.classes, classes)
    positions = np.array([found.get(name, _UNKNOWN) for name in images.classes], np.int64)
    labels: NDArray[np.int64] = positions[images.labels]
    return None if (labels == _UNKNOWN).any() else labels


def measure_id(
    scored: Scored, thresholds: Mapping[str, tuple[float, ...]], *, overlap: Mapping[str, int]
) -> IdResult:
    """Everything that needs no OOD set, without intervals.

    Args:
        scored: What the artefact says about the ID images.
        thresholds: By head, of each of the K predicted classes.
        overlap: By role, how many of them the artefact was made from.
    """
    unlabelled = IdResult(
        n=len(scored),
        is_labelled=False,
        seen=overlap,
        accuracy=math.nan,
        mean_max_probability=float(scored.confidence.mean()),
        mean_max_probability_right=math.nan,
        mean_max_probability_wrong=math.nan,
        expected_calibration_error=math.nan,
        rms_calibration_error=math.nan,
        reliability=Reliability(),
        intervals={},
        heads={h: _head_on_id(scored, h, thresholds[h]) for h in scored.scores},
    )
    confidence, is_right = scored.confidence, scored.is_right
    if is_right is None:
        return unlabelled
    confusion = _confusion(scored)
    bins = classification.reliability(confidence, is_right)
    before = confidence if scored.confidence_before is None else scored.confidence_before
    return replace(
        unlabelled,
        is_labelled=True,
        accuracy=classification.accuracy(is_right),
        mean_max_probability_right=_mean(confidence[is_right]),
        mean_max_probability_wrong=_mean(confidence[~is_right]),
        expected_calibration_error=classification.expected_calibration_error(confidence, is_right),
        rms_calibration_error=classification.rms_calibration_error(confidence, is_right),
        calibration_error_before=classification.expected_calibration_error(before, is_right),
        reliability=Reliability(*(tuple(column.tolist()) for column in bins)),
        classes=_class_qualities(scored.classes, confusion),
        confusion=tuple(map(tuple, confusion.tolist())) if len(confusion) <= _MOST_SHOWN else (),
    )


def measure_operating_points(
    inside: Scored, outside: Mapping[str, Scored]
) -> tuple[OperatingPoint, ...]:
    """What deciding at each of five false-alarm rates would do.

    Args:
        inside: What the artefact says about the ID images.
        outside: What it says about each OOD set.
    """

    def flagged(scored: Scored, alpha: float) -> dict[str, float]:
        return {head: float((values <= alpha).mean()) for head, values in scored.pvalues.items()}

    return tuple(
        OperatingPoint(
            alpha=alpha,
            refused=flagged(inside, alpha),
            caught={name: flagged(scored, alpha) for name, scored in outside.items()},
        )
        for alpha in _ALPHAS
    )


def measure_ood(
    inside: Scored, outside: Scored, *, group: str, kind: str, overlap: Mapping[str, int]
) -> OodResult:
    """One OOD set against the ID images, for every head, without intervals.

    Args:
        inside: What the artefact says about the ID images.
        outside: What it says about the OOD images.
        group: `near`, `far`, or empty.
        kind: `files`, `synthetic` or `adversarial`.
        overlap: By role, how many of the OOD images the artefact was made from.
    """
    pairs = {head: (inside.scores[head], outside.scores[head]) for head in inside.scores}
    return OodResult(
        n=len(outside),
        group=group,
        kind=kind,
        seen=overlap,
        mean_max_probability=float(outside.confidence.mean()),
        flagged={head: float(flags.mean()) for head, flags in outside.decisions.items()},
        metrics={head: detection.pair_metrics(*pair) for head, pair in pairs.items()},
        curves={head: threshold_curve(*pair) for head, pair in pairs.items()},
        histograms={head: histogram(*pair) for head, pair in pairs.items()},
        trusted={head: outside.examples(head, _EXAMPLES, largest=False) for head in pairs},
    )


def measure_shifted(
    inside: Scored,
    shifted: Scored,
    outside: Mapping[str, Scored],
    *,
    overlap: Mapping[str, int],
) -> ShiftedResult:
    """One shifted set, alone and with the ID images against each OOD set, without intervals.

    Args:
        inside: What the artefact says about the ID images.
        shifted: What it says about the shifted images.
        outside: What it says about each OOD set.
        overlap: By role, how many of the shifted images the artefact was made from.
    """
    is_right = shifted.is_right
    known = inside.scores_with(shifted)
    accuracy = error = math.nan
    if is_right is not None:
        accuracy = classification.accuracy(is_right)
        error = classification.expected_calibration_error(shifted.confidence, is_right)
    return ShiftedResult(
        n=len(shifted),
        is_labelled=is_right is not None,
        seen=overlap,
        accuracy=accuracy,
        mean_max_probability=float(shifted.confidence.mean()),
        expected_calibration_error=error,
        heads={head: _head_on_shifted(shifted, head) for head in known},
        full_spectrum={
            name: FullSpectrum({h: detection.pair_metrics(known[h], s.scores[h]) for h in known})
            for name, s in outside.items()
        },
    )


def _confusion(scored: Scored) -> NDArray[np.int64]:
    """Counts (K, K) by true and by predicted class, of labelled images."""
    assert scored.labels is not None
    k = len(scored.classes)
    cells = np.bincount(scored.labels * k + scored.label_index, minlength=k * k)
    return cells.reshape(k, k)


def _class_qualities(
    classes: Sequence[str], confusion: NDArray[np.int64]
) -> tuple[ClassQuality, ...]:
    right, n_true, n_predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):  # a class without images is 0 / 0, NaN
        rates = (right / n_predicted).tolist(), (right / n_true).tolist()
    columns = (classes, n_true.tolist(), n_predicted.tolist(), *rates)
    return tuple(ClassQuality(*row) for row in zip(*columns, strict=True))


def _head_on_id(scored: Scored, head: str, thresholds: tuple[float, ...]) -> HeadOnId:
    is_ood, is_right = scored.decisions[head], scored.is_right
    misclassified = Misclassification(0, 0, math.nan, math.nan, math.nan)
    if is_right is not None:
        misclassified = detection.misclassification(scored.scores[head], is_right)
    return HeadOnId(
        realised_tpr=detection.realised_tpr(is_ood),
        accepted_accuracy=_accepted_accuracy(scored, head),
        misclassification=misclassified,
        thresholds=thresholds,
        classes=_class_alarms(scored, is_ood),
        pvalues=pvalue_curve(scored.pvalues[head]),
        suspicious=scored.examples(head, _EXAMPLES, largest=True),
    )


def _head_on_shifted(scored: Scored, head: str) -> HeadOnShifted:
    return HeadOnShifted(
        flagged=float(scored.decisions[head].mean()),
        accepted_accuracy=_accepted_accuracy(scored, head),
        suspicious=scored.examples(head, _EXAMPLES, largest=True),
    )


def _accepted_accuracy(scored: Scored, head: str) -> float:
    accepted, is_right = ~scored.decisions[head], scored.is_right
    if is_right is None or not accepted.any():
        return math.nan
    return classification.accuracy(is_right[accepted])


def _class_alarms(scored: Scored, is_ood: NDArray[np.bool_]) -> tuple[ClassAlarms, ...]:
    labels = np.empty(0, np.int64) if scored.labels is None else scored.labels
    n_true, flagged_true = _by_class(scored, labels, is_ood)
    n_predicted, flagged_predicted = _by_class(scored, scored.label_index, is_ood)
    columns = (scored.classes, n_true, flagged_true, n_predicted, flagged_predicted)
    return tuple(ClassAlarms(*row) for row in zip(*columns, strict=True))


def _by_class(
    scored: Scored, labels: NDArray[np.int64], is_ood: NDArray[np.bool_]
) -> tuple[list[int], list[float]]:
    """Images of each of the K classes, and the fraction of them flagged."""
    k = len(scored.classes)
    counts = np.bincount(labels, minlength=k)
    flagged = np.bincount(labels[is_ood[: len(labels)]], minlength=k)
    with np.errstate(invalid="ignore"):  # a class without images is 0 / 0, NaN
        return counts.tolist(), (flagged / counts).tolist()


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
