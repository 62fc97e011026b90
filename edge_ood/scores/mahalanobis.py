"""Mahalanobis distance to the nearest class (Lee et al. 2018)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.scores import Outputs, ScoreHead, Statistics


class PenultimateGaussian:
    """Fits a class-conditional Gaussian on the last feature layer."""

    def __init__(self, num_classes: int) -> None:
        self._gaussian = ClassGaussian(num_classes)

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch of features (N, D) and labels (N,) into account."""
        self._gaussian.update(_penultimate(outputs), labels)

    def merge(self, other: "PenultimateGaussian") -> None:
        """Take everything that `other` saw into account."""
        self._gaussian.merge(other._gaussian)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Centre (D,), whitening matrix (D, R) and whitened class means (K, R)."""
        return self._gaussian.finish()


def mahalanobis(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Squared Mahalanobis distance to the nearest class mean under a shared covariance.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `centre` (D,), `whitening` (D, R) and `means` (K, R), as fitted by
            `PenultimateGaussian`.

    Returns:
        Scores of shape (N,), dimensionless, >= 0; larger is more out-of-distribution.

    Source: Lee et al. 2018, arXiv:1807.03888, eq. 2, without its factor -1. The nearest class is
    found by the expanded square (one matmul), the distance by differences, which do not cancel.
    """
    z = xp.matmul(_penultimate(outputs) - statistics["centre"], statistics["whitening"])
    means = statistics["means"]
    offsets = xp.sum(means * means, axis=1)
    nearest = xp.argmin(offsets - 2 * xp.matmul(z, means.T), axis=1)
    difference = z - xp.take(means, nearest, axis=0)
    return xp.sum(difference * difference, axis=1)


def _penultimate(outputs: Outputs) -> Any:
    return list(outputs.features.values())[-1]


HEAD = ScoreHead(
    "mahalanobis",
    ("features",),
    mahalanobis,
    source="Lee et al. 2018, eq. 2",
    fit=PenultimateGaussian,
)
