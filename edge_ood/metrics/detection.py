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
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.metrics import ranking
from edge_ood.metrics.checks import checked_marks, checked_vector, fraction
from edge_ood.metrics.ranking import Ranking, RankingCounts

__all__ = [
    "Misclassification",
    "PairMetrics",
    "UndefinedMetricWarning",
    "auroc",
    "average_precision",
    "detection_error",
    "fpr95",
    "misclassification",
    "pair_metrics",
    "realised_tpr",
]


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

    Example:
        >>> pair_metrics(id_scores=[1, 2], ood_scores=[2, 3]).auroc  # 3 of 4 pairs, and a tie
        0.875
    """
    inside = checked_vector(id_scores, "ID scores")
    outside = checked_vector(ood_scores, "OOD scores")
    scores = np.concatenate([inside, outside])
    ood_positive = _counted(scores, np.arange(len(scores)) >= len(inside))
    id_positive = ood_positive.negated()
    return PairMetrics(
        n_id=len(inside),
        n_ood=len(outside),
        auroc=float(ranking.auroc(ood_positive)),
        aupr_in=float(ranking.average_precision(id_positive)),
        aupr_out=float(ranking.average_precision(ood_positive)),
        fpr95_id_positive=float(ranking.fpr95(id_positive)),
        fpr95_ood_positive=float(ranking.fpr95(ood_positive)),
        detection_error=float(ranking.detection_error(ood_positive)),
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

    Example:
        >>> misclassification([1, 2, 3], is_right=[True, True, False]).auroc
        1.0
    """
    checked = checked_vector(scores, "scores")
    right = checked_marks(is_right, len(checked))
    n_right = int(right.sum())
    if n_right in (0, len(right)):
        nan = _undefined("misclassification detection", "right and wrong predictions")
        return Misclassification(n_right, len(right) - n_right, nan, nan, nan)
    wrong_positive = _counted(checked, ~right)
    return Misclassification(
        n_right=n_right,
        n_wrong=len(right) - n_right,
        auroc=float(ranking.auroc(wrong_positive)),
        aupr_right=float(ranking.average_precision(wrong_positive.negated())),
        aupr_wrong=float(ranking.average_precision(wrong_positive)),
    )


def auroc(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1], larger = better; NaN with a warning for one class.

    Args:
        scores: Shape (N,), larger = more likely positive.
        is_positive: Bool (N,).

    Raises:
        InputError: If there is no score, or one is NaN.

    Example:
        >>> auroc([1, 2, 3, 4], [False, True, False, True])  # in order: 3 of 4 pairs
        0.75
    """
    return _of_two_classes("AUROC", ranking.auroc, scores, is_positive)


def auroc_of_pair(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """The `auroc` of `pair_metrics` alone; arguments and errors are those.

    Example:
        >>> auroc_of_pair(id_scores=[1, 2], ood_scores=[2, 3])
        0.875
    """
    scores = np.concatenate([id_scores, ood_scores])
    return auroc(scores, np.arange(len(scores)) >= len(np.asarray(id_scores)))


def average_precision(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Area under the precision-recall steps in (0, 1], larger = better; depends on the base rate.

    The sum over distinct thresholds of precision times the gain in recall. The trapezoid that
    some code bases use instead is larger.

    Args and errors are those of `auroc`.

    Example:
        >>> average_precision([1, 2, 3, 4], [True, False, False, True])  # 1 / 2 * (1 / 1 + 2 / 4)
        0.75
    """
    return _of_two_classes("average precision", ranking.average_precision, scores, is_positive)


def fpr95(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """False-positive rate in [0, 1] at a recall of at least 95 %, smaller = better.

    The threshold is the strictest that reaches the recall, so that no rate is interpolated.

    Args and errors are those of `auroc`.

    Example:
        >>> fpr95([1, 2, 3, 4], [False, True, False, True])  # from 2 on, where 3 is false
        0.5
    """
    return _of_two_classes("FPR95", ranking.fpr95, scores, is_positive)


def detection_error(scores: ArrayLike, is_positive: ArrayLike) -> float:
    """Smallest mean of miss rate and false-positive rate, in [0, 0.5], smaller = better.

    The minimum is over all thresholds, and each class counts one half whatever its size. Which
    class is called positive changes nothing if the score's sign changes with it.

    Args and errors are those of `auroc`.

    Example:
        >>> detection_error([1, 2, 3, 4], [False, True, False, True])  # from 2 on: (0 + 1 / 2) / 2
        0.25
    """
    return _of_two_classes("detection error", ranking.detection_error, scores, is_positive)


def realised_tpr(is_ood: ArrayLike) -> float:
    """Fraction in [0, 1] of ID images that decisions (N,) accept; at least one is needed.

    Example:
        >>> realised_tpr([False, False, False, True])
        0.75
    """
    return fraction(~np.asarray(is_ood, np.bool_), "decisions")


def _of_two_classes(
    name: str,
    metric: Callable[[RankingCounts], NDArray[np.float64]],
    scores: ArrayLike,
    is_positive: ArrayLike,
) -> float:
    checked = checked_vector(scores, "scores")
    marks = checked_marks(is_positive, len(checked))
    if marks.all() or not marks.any():
        return _undefined(name, "positive and negative scores", stacklevel=4)
    return float(metric(_counted(checked, marks)))


def _counted(scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> RankingCounts:
    """Every image once."""
    return Ranking(scores, is_positive).counts(np.ones(len(scores), np.int32))


def _undefined(metric: str, needed: str, *, stacklevel: int = 3) -> float:
    message = f"{metric} is undefined: it needs both {needed}"
    warnings.warn(message, UndefinedMetricWarning, stacklevel=stacklevel)
    return math.nan
