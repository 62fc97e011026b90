"""Distance to the decision boundaries (Liu & Qin 2024)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, length, penultimate


def boundaries(num_classes: int, *, linear: LinearLayer, **parameters: Any) -> OfRows:
    """Fits the mean of the features; the boundaries are those of the last layer."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        return {"centre": sums.mean(), "gaps": _gaps(linear.weight)}

    return OfRows(ClassMeans(num_classes), finish)


def fdbd(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Minus the mean distance to the other classes' boundaries, over that to the centre.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `centre` (D,), the mean of training features, and `gaps` (K, K), the distances
            between the weights of classes, 1 on the diagonal.

    Returns:
        Scores of shape (N,), dimensionless, <= 0; larger is more out-of-distribution.

    Source: Liu & Qin 2024, arXiv:2312.11536, eq. 6, which has no parameter.
    """
    logits, gaps = outputs.logits, statistics["gaps"]
    lead = xp.max(logits, axis=1, keepdims=True) - logits
    apart = lead / xp.take(gaps, xp.argmax(logits, axis=1), axis=0)
    distance = length(xp, penultimate(outputs) - statistics["centre"])[:, 0]
    return -xp.sum(apart, axis=1) / (distance * (len(gaps) - 1))


def _gaps(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (K, K) between rows (K, D); equal rows, and each with itself, are 1 apart."""
    gaps = np.stack([np.linalg.norm(weight - row, axis=1) for row in weight])
    return np.where(gaps > 0, gaps, 1)


HEAD = ScoreHead(
    "fdbd",
    ("logits", "features"),
    fdbd,
    source="Liu & Qin 2024, eq. 6",
    fit=boundaries,
    reads_linear=True,
)
