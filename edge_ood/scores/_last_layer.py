"""What heads share that read the last linear layer, or shape the features that enter it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.bank import ClassBank
from edge_ood.calibration.class_means import ClassMeans
from edge_ood.errors import CalibrationError
from edge_ood.scores import LinearLayer, Statistics
from edge_ood.scores._features import OfRows, at_least, largest
from edge_ood.scores._softmax import logsumexp

__all__ = [
    "activation_quantile",
    "activations",
    "check_shapeable",
    "energy_of",
    "kept_count",
    "linear_arrays",
    "peak_share",
    "rectified",
    "shapeable",
]

Rows = NDArray[np.float64]

_FEWEST_KEPT = 8
_SAMPLED = 1000
_NO_NEGATIVES = -1e-6


def energy_of(xp: Any, shaped: Any, statistics: Statistics) -> Any:
    """Free energy (N,) of the logits that shaped features (N, D) give: `-LSE(h W^T + b)`."""
    logits = xp.tensordot(shaped, statistics["weight"], axes=((1,), (1,)))
    return -logsumexp(xp, logits + statistics["bias"])


def linear_arrays(linear: LinearLayer) -> dict[str, NDArray[np.float64]]:
    """The statistics that `energy_of` reads."""
    return {"weight": linear.weight, "bias": linear.bias}


def activations(num_classes: int, finish: Callable[[Rows], dict[str, Rows]]) -> OfRows:
    """Fits something of the features (M, D) of at most 1,000 training images, all >= 0."""

    def finished(sample: ClassBank) -> dict[str, Rows]:
        rows, _ = sample.rows()
        _check_not_negative(float(rows.min()))
        return finish(rows)

    return OfRows(ClassBank(num_classes, _SAMPLED), finished)


def activation_quantile(
    num_classes: int, name: str, quantile: float, linear: LinearLayer
) -> OfRows:
    """Fits one quantile of all activations, under a name, beside the last layer."""

    def finish(rows: Rows) -> dict[str, Rows]:
        return {name: np.asarray(np.quantile(rows, quantile)), **linear_arrays(linear)}

    return activations(num_classes, finish)


def rectified(xp: Any, features: Any) -> Any:
    """Features (N, D) with zeros for negative ones; NaN stays NaN."""
    return at_least(xp, features, 0.0)


def kept_count(width: int, percentile: float) -> int:
    """How many of D features are beyond a percentile in [0, 1], one at least."""
    return max(1, width - round(percentile * width))


def peak_share(xp: Any, features: Any, kept: int) -> Any:
    """Sum of features >= 0 (N, D) over the sum of the `kept` largest of them, (N, 1); >= 1."""
    peaks = xp.sum(largest(xp, features, kept), axis=1, keepdims=True)
    return xp.sum(features, axis=1, keepdims=True) / at_least(xp, peaks, 1e-12)


def check_shapeable(sums: ClassMeans, kept: int) -> NDArray[np.float64]:
    """The number of features that are kept, (), where shaping features makes sense at all.

    Raises:
        CalibrationError: If features are negative, or fewer than 8 would be kept: there such
            scores are below chance (AUROC 18 to 34 on transformers, 33 at 3 of 64 features).
    """
    _check_not_negative(sums.least)
    if kept < _FEWEST_KEPT:
        raise CalibrationError(
            f"{kept} of {sums.width} features would decide, and shaping is below chance with fewer "
            f"than {_FEWEST_KEPT}",
            hint="leave it out of --scores, or let it keep more",
        )
    return np.asarray(float(kept))


def shapeable(num_classes: int, percentile: float, **known: NDArray[np.float64]) -> OfRows:
    """Tells whether shaping makes sense, and how many features are `kept`, beside what is known."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        return {"kept": check_shapeable(sums, kept_count(sums.width, percentile)), **known}

    return OfRows(ClassMeans(num_classes), finish)


def _check_not_negative(least: float) -> None:
    if least < _NO_NEGATIVES:
        raise CalibrationError(
            f"features are as small as {least:.3g}, and shaping them is for networks whose "
            "features are never negative",
            hint="leave it out of --scores; 'mahalanobis' and 'gen' suit any network",
        )
