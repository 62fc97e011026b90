"""Features cut off at a quantile (Sun et al. 2021)."""

from typing import Any

from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import activation_quantile, energy_of


def ceiling(num_classes: int, *, quantile: float, linear: LinearLayer, **parameters: Any) -> OfRows:
    """Fits the quantile of all activations."""
    return activation_quantile(num_classes, "ceiling", quantile, linear)


def react(xp: Any, outputs: Outputs, statistics: Statistics, *, quantile: Fraction = 0.9) -> Any:
    """Free energy with no feature above a ceiling.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D), >= 0.
        statistics: `ceiling` (), `weight` (K, D) and `bias` (K,).
        quantile: Share in [0, 1] of training activations below the ceiling.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Sun, Guo & Li 2021, arXiv:2111.12797, eqs. 2 and 5. The ceiling is of at most 1,000
    training images.
    """
    cut = xp.minimum(penultimate(outputs), statistics["ceiling"])
    return energy_of(xp, cut, statistics)


HEAD = ScoreHead(
    "react",
    ("features",),
    react,
    source="Sun et al. 2021, eqs. 2 and 5",
    fit=ceiling,
    reads_linear=True,
)
