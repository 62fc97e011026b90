"""Closeness of the features to the weights of their class (Liu & Qin 2025)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.registry import NonNegative
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, length, penultimate


def centred_logits(num_classes: int, *, linear: LinearLayer, **parameters: Any) -> OfRows:
    """Fits the mean of the features, and the logits that it has."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        centre = sums.mean()
        return {"centre": centre, "logits": linear.weight @ centre + linear.bias}

    return OfRows(ClassMeans(num_classes), finish)


def nci(xp: Any, outputs: Outputs, statistics: Statistics, *, alpha: NonNegative = 0.0) -> Any:
    """Minus the projection of the class's weights on the centred features' direction.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `centre` (D,), the mean of training features, and `logits` (K,), those of it.
        alpha: Weight of the L1 norm of the features, in units of its inverse; the paper chooses it
            on OOD images, which nobody has.

    Returns:
        Scores of shape (N,), in logits per feature length, unbounded; larger is more
        out-of-distribution.

    Source: Liu & Qin 2025, arXiv:2311.01479, eqs. 5 and 6. `w_k (h - mu)` is the difference of two
    logits, so no weights are in the file.
    """
    features, logits = penultimate(outputs), outputs.logits
    of_centre = xp.take(statistics["logits"], xp.argmax(logits, axis=1), axis=0)
    distance = length(xp, features - statistics["centre"])[:, 0]
    closeness = (xp.max(logits, axis=1) - of_centre) / distance
    if not alpha:
        return -closeness
    return -closeness - alpha * xp.sum(xp.abs(features), axis=1)


HEAD = ScoreHead(
    "nci",
    ("logits", "features"),
    nci,
    source="Liu & Qin 2025, eqs. 5 and 6",
    fit=centred_logits,
    reads_linear=True,
)
