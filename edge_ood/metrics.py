"""Exact metrics of OOD scores in float64: order statistics, ties together, no interpolation.

Every score is larger = more out-of-distribution (OOD). In a ranking metric the *positive* class is
the one that larger scores should mark, and equal scores are accepted or flagged together. A metric
that needs two classes and gets one is NaN, with an `UndefinedMetricWarning`.

"FPR95" names two different numbers in the literature, so both have their own name here:

- `fpr95_id_positive`: the fraction of OOD images accepted at the smallest threshold that accepts
  at least 95 % of the ID images. The headline; ODIN, energy, Mahalanobis and MCD report it.
- `fpr95_ood_positive`: the fraction of ID images flagged at the largest threshold that flags at
  least 95 % of the OOD images. Outlier Exposure and OpenOOD report it.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import InputError, ShapeError

__all__ = [
    "ECE_BINS",
    "Misclassification",
    "PairMetrics",
    "UndefinedMetricWarning",
    "accuracy",
    "auroc",
    "average_precision",
    "detection_error",
    "expected_calibration_error",
    "fpr95",
    "max_probability",
    "misclassification",
    "pair_metrics",
    "realised_tpr",
]

ECE_BINS = 15
"""Equal-width confidence bins of the expected calibration error (Guo et al. 2017)."""

_RECALL_PERCENT = 95


class UndefinedMetricWarning(UserWarning):
    """A metric that compares two classes got only one of them, and is NaN."""


@dataclass(frozen=True)
class PairMetrics:
    """How well one score tells one OOD set from the ID set; rates in [0, 1].

    Attributes:
        n_id: Number of ID images; both AUPR depend on the ratio of the counts.
        n_ood: Number of OOD images.
        auroc: Probability that an OOD image outscores an ID image, a tie counting half.
        aupr_in: Average precision with ID as the positive class (of the negated score).
        aupr_out: Average precision with OOD as the positive class.
        fpr95_id_positive: OOD accepted when at least 95 % of ID is accepted.
        fpr95_ood_positive: ID flagged when at least 95 % of OOD is flagged.
        detection_error: Smallest mean of ID flagged and OOD accepted (equal priors).
    """

    n_id: int
    n_ood: int
    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95_id_positive: float
    fpr95_ood_positive: float
    detection_error: float


@dataclass(frozen=True)
class Misclassification:
    """How well one score tells wrong predictions from right ones; rates in [0, 1] or NaN.

    Attributes:
        n_right: Number of ID images whose predicted class is right.
        n_wrong: Number of ID images whose predicted class is wrong.
        auroc: Probability that a wrong prediction outscores a right one, a tie counting half.
        aupr_right: Average precision with right predictions as the positive class.
        aupr_wrong: Average precision with wrong predictions as the positive class.
    """

    n_right: int
    n_wrong: int
    auroc: float
    aupr_right: float
    aupr_wrong: float


def pair_metrics(id_scores: ArrayLike, ood_scores: ArrayLike) -> PairMetrics:
    """All ranking metrics of one score on one pair of image sets.

    Args:
        id_scores: Scores of ID images, shape (n_id,), larger = more OOD.
        ood_scores: Scores of OOD images, shape (n_ood,), the same score.

    Raises:
        InputError: If a set is empty or holds a NaN.
        ShapeError: If a set is not one-dimensional.
    """
    inside = _checked_scores(id_scores, "ID scores")
    outside = _checked_scores(ood_scores, "OOD scores")
    scores = np.concatenate([inside, outside])
    is_ood = np.arange(len(scores)) >= len(inside)
    return PairMetrics(
        n_id=len(inside),
        n_ood=len(outside),
        auroc=auroc(scores, is_ood),
        aupr_in=average_precision(-scores, ~is_ood),
        aupr_out=average_precision(scores, is_ood),
        fpr95_id_positive=fpr95(-scores, ~is_ood),
        fpr95_ood_positive=fpr95(scores, is_ood),
        detection_error=detection_error(scores, is_ood),
    )


def misclassification(scores: ArrayLike, is_right: ArrayLike) -> Misclassification:
    """How well a score finds the classifier's own mistakes among ID images.

    Args:
        scores: Scores of ID images, shape (N,), larger = more OOD.
        is_right: Whether the predicted class is the true one, bool (N,).

    Returns:
        Counts and metrics; the metrics are NaN, with one warning, if all predictions are right or
        all are wrong.

    Raises:
        InputError: If there is no score, or one is NaN.
    """
    checked, right = _checked_pair(scores, is_right)
    n_right = int(right.sum())
    if n_right in (0, len(right)):
        nan = _undefined("misclassification detection", "right and wrong predictions")
        return Misclassification(n_right, len(right) - n_right, nan, nan, nan)
    return Misclassification(
        n_right=n_right,
        n_wrong=len(right) - n_right,
        auroc=auroc(checked, ~right),
        aupr_right=average_precision(-checked, right),
        aupr_wrong=average_precision(checked, ~right),
    )


def auroc(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1], larger = better; NaN with a warning for one class.

    Args:
        scores: Shape (N,), larger = more likely positive.
        is_positive: Bool (N,).

    Raises:
        InputError: If there is no score, or one is NaN.
    """
    hits, alarms = _counts_at_thresholds(*_checked_pair(scores, is_positive))
    if not hits[-1] or not alarms[-1]:
        return _undefined("AUROC", "positive and negative scores")
    twice_area = np.diff(alarms) @ (hits[1:] + hits[:-1])
    return float(twice_area / (2 * hits[-1] * alarms[-1]))


def average_precision(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Area under the precision-recall steps in (0, 1], larger = better; depends on the base rate.

    The sum over distinct thresholds of precision times the gain in recall. The trapezoid that
    some code bases use instead is larger.

    Args and errors are those of `auroc`.
    """
    hits, alarms = _counts_at_thresholds(*_checked_pair(scores, is_positive))
    if not hits[-1] or not alarms[-1]:
        return _undefined("average precision", "positive and negative scores")
    precision = hits[1:] / (hits[1:] + alarms[1:])
    return float(np.diff(hits) @ precision / hits[-1])


def fpr95(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """False-positive rate in [0, 1] at a recall of at least 95 %, smaller = better.

    The threshold is the strictest that reaches the recall, so that no rate is interpolated.

    Args and errors are those of `auroc`.
    """
    hits, alarms = _counts_at_thresholds(*_checked_pair(scores, is_positive))
    if not hits[-1] or not alarms[-1]:
        return _undefined("FPR95", "positive and negative scores")
    # In whole images, where 95 % of 20 is 19 and not the float next to it.
    reached = 100 * hits >= _RECALL_PERCENT * hits[-1]
    return float(alarms[reached.argmax()] / alarms[-1])


def detection_error(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Smallest mean of miss rate and false-positive rate, in [0, 0.5], smaller = better.

    The minimum is over all thresholds, and each class counts one half whatever its size. Which
    class is called positive changes nothing if the score's sign changes with it.

    Args and errors are those of `auroc`.
    """
    hits, alarms = _counts_at_thresholds(*_checked_pair(scores, is_positive))
    if not hits[-1] or not alarms[-1]:
        return _undefined("detection error", "positive and negative scores")
    missed = (hits[-1] - hits) * alarms[-1]
    return float((missed + alarms * hits[-1]).min() / (2 * hits[-1] * alarms[-1]))


def realised_tpr(is_ood: ArrayLike) -> float:
    """Fraction in [0, 1] of ID images that decisions (N,) accept; at least one is needed."""
    return _fraction(~np.asarray(is_ood, np.bool_), "decisions")


def accuracy(is_right: ArrayLike) -> float:
    """Fraction in [0, 1] of predictions (N,) that are right; at least one is needed."""
    return _fraction(np.asarray(is_right, np.bool_), "predictions")


def max_probability(logits: ArrayLike) -> NDArray[np.float64]:
    """Largest softmax probability (N,), in [1 / K, 1], of logits (N, K)."""
    z = np.asarray(logits, np.float64)
    if z.ndim != 2 or not z.shape[1]:
        raise ShapeError(f"logits of shape {z.shape}, expected (N, K)")
    largest: NDArray[np.float64] = 1 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)
    return largest


def expected_calibration_error(confidence: ArrayLike, is_right: ArrayLike) -> float:
    """Mean gap in [0, 1] between confidence and accuracy, smaller = better.

    Predictions are sorted into 15 bins of equal width, each open on the left and closed on the
    right; the error is the sum over bins of `n_bin / N * |accuracy_bin - mean confidence_bin|`.

    Args:
        confidence: Probability of the predicted class, shape (N,), in [0, 1].
        is_right: Whether the predicted class is the true one, bool (N,).

    Raises:
        InputError: If there is no prediction, or a confidence is NaN or outside [0, 1].

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    sure, right = _checked_pair(confidence, is_right)
    if sure.min() < 0 or sure.max() > 1:
        raise InputError(f"confidences from {sure.min():.4g} to {sure.max():.4g}, expected [0, 1]")
    edges = np.linspace(0, 1, ECE_BINS + 1)[1:-1]
    gaps = np.bincount(np.digitize(sure, edges, right=True), right - sure, ECE_BINS)
    return float(np.abs(gaps).sum() / len(sure))


def _fraction(mask: NDArray[np.bool_], what: str) -> float:
    if not mask.size:
        raise InputError(f"no {what}, expected at least one")
    return float(mask.sum() / mask.size)


def _counts_at_thresholds(
    scores: NDArray[np.float64], is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and negatives at or above each distinct score, from none of them to all."""
    order = np.argsort(-scores)
    ordered, positive = scores[order], is_positive[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(positive, dtype=np.int64)[ends]
    return np.append(0, hits), np.append(0, ends + 1 - hits)


def _checked_pair(
    scores: ArrayLike, mask: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    checked, truth = _checked_scores(scores, "scores"), np.asarray(mask)
    if truth.dtype != np.bool_ or truth.shape != checked.shape:
        raise ShapeError(
            f"class marks of type {truth.dtype} and shape {truth.shape}, "
            f"expected bool of shape {checked.shape}"
        )
    return checked, truth


def _checked_scores(scores: ArrayLike, what: str) -> NDArray[np.float64]:
    checked = np.asarray(scores, np.float64)
    if checked.ndim != 1:
        raise ShapeError(f"{what} of shape {checked.shape}, expected (N,)")
    if not checked.size:
        raise InputError(f"no {what}, expected at least one")
    if np.isnan(checked).any():
        raise InputError(f"{int(np.isnan(checked).sum())} of {len(checked)} {what} are NaN")
    return checked


def _undefined(metric: str, needed: str) -> float:
    warnings.warn(
        f"{metric} is undefined: it needs both {needed}", UndefinedMetricWarning, stacklevel=3
    )
    return math.nan
