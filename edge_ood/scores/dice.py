"""The last layer's largest contributions alone (Sun & Li 2022)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import energy_of


def contributions(
    num_classes: int, *, share: float, linear: LinearLayer, **parameters: Any
) -> OfRows:
    """Fits which weights contribute most on training images."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        products = linear.weight * sums.mean()
        kept = products > np.quantile(products, share)
        return {"weight": np.where(kept, linear.weight, 0), "bias": linear.bias}

    return OfRows(ClassMeans(num_classes), finish)


def dice(xp: Any, outputs: Outputs, statistics: Statistics, *, share: Fraction = 0.7) -> Any:
    """Free energy by a last layer without the weights that contribute little.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `weight` (K, D), most of them zero, and `bias` (K,).
        share: Share in [0, 1] of the weights that are zero.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Sun & Li 2022, arXiv:2111.09805, eqs. 3 and 4.
    """
    return energy_of(xp, penultimate(outputs), statistics)


HEAD = ScoreHead(
    "dice",
    ("features",),
    dice,
    source="Sun & Li 2022, eqs. 3 and 4",
    fit=contributions,
    reads_linear=True,
    not_recommended="AUROC of 48 near and 60 far on Swin-T, below `energy` on CIFAR-10",
)
