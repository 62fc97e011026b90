"""Metrics of predicted classes and their probabilities: accuracy, confidence, calibration errors.

The *confidence* of a prediction is the probability of the predicted class, in [0, 1].
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import DataError, InputError, ShapeError
from edge_ood.metrics.checks import checked_marks, checked_vector, fraction

__all__ = [
    "RELIABILITY_BINS",
    "accuracy",
    "chance_level",
    "check_better_than_chance",
    "expected_calibration_error",
    "max_probability",
    "reliability",
    "rms_calibration_error",
]

RELIABILITY_BINS = 15
"""Equal-width confidence bins of the reliability plot and of the ECE (Guo et al. 2017)."""

_PREDICTIONS_OF_A_BIN = 100
"""Of the RMS calibration error (Hendrycks et al. 2019)."""


def accuracy(is_right: ArrayLike) -> float:
    """Fraction in [0, 1] of predictions (N,) that are right; at least one is needed.

    Example:
        >>> accuracy([True, True, True, False])
        0.75
    """
    return fraction(is_right, "predictions")


def chance_level(labels: ArrayLike) -> float:
    """Accuracy in (0, 1] of always naming the most frequent of the labels (N,).

    Raises:
        InputError: If there is no label.

    Example:
        >>> chance_level([0, 0, 0, 1])
        0.75
    """
    classes = np.asarray(labels)
    if not len(classes):
        raise InputError("no labels, expected at least one")
    return float(np.bincount(classes).max() / len(classes))


def check_better_than_chance(accuracy: float, labels: ArrayLike, images: str, hint: str) -> None:
    """Refuse a classifier that knows nothing of the classes of some images.

    Nothing else shows that class folders are in another order than its outputs, or that it was
    trained with another normalisation.

    Args:
        accuracy: Share in [0, 1] of the images that it classifies correctly.
        labels: Their classes (N,).
        images: What they are, `training images`.
        hint: What may be wrong, and what to do.

    Raises:
        DataError: If always naming the commonest class is as good.
    """
    chance = chance_level(labels)
    if accuracy <= chance:
        raise DataError(
            f"{accuracy:.1%} of {len(np.asarray(labels))} {images} are classified correctly, no "
            f"better than chance ({chance:.1%})",
            hint=hint,
        )


def max_probability(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Largest softmax probability (N,), in [1 / K, 1], of logits (N, K) over a temperature > 0.

    Example:
        >>> import math
        >>> print(max_probability([[0, 0], [0, math.log(3)]]))
        [0.5  0.75]
    """
    z = np.asarray(logits, np.float64)
    if z.ndim != 2 or not z.shape[1]:
        raise ShapeError(f"logits of shape {z.shape}, expected (N, K)")
    below = (z - z.max(axis=1, keepdims=True)) / temperature
    largest: NDArray[np.float64] = 1 / np.exp(below).sum(axis=1)
    return largest


def reliability(
    confidence: ArrayLike, is_right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """How often predictions are right, by how sure they are.

    Predictions are sorted into 15 bins of equal width, each open on the left and closed on the
    right; confidence 0 is in the first.

    Args:
        confidence: Probability of the predicted class, shape (N,), in [0, 1].
        is_right: Whether the predicted class is the true one, bool (N,).

    Returns:
        Mean confidence (15,) and accuracy (15,), both in [0, 1] and NaN where a bin is empty, and
        the number of predictions (15,).

    Raises:
        InputError: If there is no prediction, or a confidence is NaN or outside [0, 1].

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.

    Example:
        >>> confidences, accuracies, count = reliability([0.5, 0.9, 0.9], [True, True, False])
        >>> count[count > 0].tolist(), accuracies[count > 0].tolist()
        ([1, 2], [1.0, 0.5])
    """
    sure, right = _checked_predictions(confidence, is_right)
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1]
    bins = np.digitize(sure, edges, right=True)
    count = np.bincount(bins, minlength=RELIABILITY_BINS)
    filled = np.where(count, count, math.nan)
    confidences = np.bincount(bins, sure, RELIABILITY_BINS) / filled
    accuracies = np.bincount(bins, right, RELIABILITY_BINS) / filled
    return confidences, accuracies, count


def expected_calibration_error(confidence: ArrayLike, is_right: ArrayLike) -> float:
    """Mean gap in [0, 1] between confidence and accuracy, smaller = better.

    The sum over the bins of `reliability` of `n_bin / N * |accuracy_bin - mean confidence_bin|`.

    Args and errors are those of `reliability`.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.

    Example:
        >>> expected_calibration_error([0.75, 0.75], [True, False])  # sure to 3 / 4, right in 1 / 2
        0.25
    """
    mean_confidence, accuracies, count = reliability(confidence, is_right)
    gaps = np.abs(accuracies - mean_confidence)
    return float(count[count > 0] @ gaps[count > 0] / count.sum())


def rms_calibration_error(confidence: ArrayLike, is_right: ArrayLike) -> float:
    """Root mean square gap in [0, 1] between confidence and accuracy, smaller = better.

    Predictions in the order of their confidence are cut into bins of 100, the last one with the
    rest; the error is the root of the sum over bins of
    `n_bin / N * (accuracy_bin - mean confidence_bin)^2`. Fewer than 200 predictions are one bin.

    Args and errors are those of `reliability`.

    Source: Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, the comparison of calibrations.
    Two changes from the authors' code: the last bin, which holds the most confident predictions,
    counts (their loop ends before it), and predictions of equal confidence share the mean of what
    is right among them, so that the order of the images changes nothing.

    Example:
        >>> rms_calibration_error([0.75, 0.75], [True, False])
        0.25
    """
    sure, right = _checked_predictions(confidence, is_right)
    values, position, count = np.unique(sure, return_inverse=True, return_counts=True)
    shared = np.repeat(np.bincount(position, right) / count, count)
    gaps = shared - np.repeat(values, count)
    n_bins = max(len(gaps) // _PREDICTIONS_OF_A_BIN, 1)
    starts = _PREDICTIONS_OF_A_BIN * np.arange(n_bins)
    sizes = np.diff(starts, append=len(gaps))
    return math.sqrt(float((np.add.reduceat(gaps, starts) ** 2 / sizes).sum()) / len(gaps))


def _checked_predictions(
    confidence: ArrayLike, is_right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    sure = checked_vector(confidence, "confidences")
    if sure.min() < 0 or sure.max() > 1:
        raise InputError(f"confidences from {sure.min():.4g} to {sure.max():.4g}, expected [0, 1]")
    return sure, checked_marks(is_right, len(sure))
