"""Only the largest features, scaled (Djurisic et al. 2023)."""

from typing import Any

from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, largest, penultimate
from edge_ood.scores._last_layer import (
    energy_of,
    linear_arrays,
    peak_share,
    rectified,
    shapeable,
)


def largest_kept(
    num_classes: int, *, percentile: float, linear: LinearLayer, **parameters: Any
) -> OfRows:
    """Fits nothing; tells whether the features are such that pruning helps."""
    return shapeable(num_classes, percentile, **linear_arrays(linear))


def ash(xp: Any, outputs: Outputs, statistics: Statistics, *, percentile: Fraction = 0.9) -> Any:
    """Free energy with all but the largest features set to zero, and those scaled up (ASH-S).

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D), >= 0.
        statistics: `kept` (), how many features stay; `weight` (K, D) and `bias` (K,).
        percentile: Share in [0, 1] of the features that are set to zero.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Djurisic et al. 2023, arXiv:2209.09858, algorithm 3.
    """
    features, kept = rectified(xp, penultimate(outputs)), int(statistics["kept"])
    least = xp.expand_dims(largest(xp, features, kept)[:, kept - 1], axis=1)
    pruned = xp.where(features < least, 0, features)
    return energy_of(xp, pruned * xp.exp(peak_share(xp, features, kept)), statistics)


HEAD = ScoreHead(
    "ash",
    ("features",),
    ash,
    source="Djurisic et al. 2023, algorithm 3",
    fit=largest_kept,
    reads_linear=True,
    not_recommended="AUROC of 53 near and 52 far on ViT-B, 46 and 45 on Swin-T",
)
