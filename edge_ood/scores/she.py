"""Inner product with the stored class pattern (Zhang et al. 2023)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate


def patterns(num_classes: int, **parameters: Any) -> OfRows:
    """Fits the mean features of each class."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        return {"patterns": sums.means()}

    return OfRows(ClassMeans(num_classes), finish)


def she(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Minus the inner product of the features with the predicted class's pattern.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `patterns` (K, D).

    Returns:
        Scores of shape (N,), in squared feature units, unbounded; larger is more
        out-of-distribution.

    Source: Zhang et al. 2023, ICLR (simplified Hopfield energy), eq. 7. Patterns are of all images
    of a class; the paper leaves out those that are classified wrongly.
    """
    pattern = xp.take(statistics["patterns"], xp.argmax(outputs.logits, axis=1), axis=0)
    return -xp.sum(penultimate(outputs) * pattern, axis=1)


HEAD = ScoreHead(
    "she",
    ("logits", "features"),
    she,
    source="Zhang et al. 2023, eq. 7",
    fit=patterns,
    not_recommended="below `msp` on CIFAR-10 and CIFAR-100",
)
