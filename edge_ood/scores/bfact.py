"""Features damped by a Butterworth filter (Kong & Li 2023)."""

from typing import Any

from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import activation_quantile, energy_of


def cut_off(num_classes: int, *, quantile: float, linear: LinearLayer, **parameters: Any) -> OfRows:
    """Fits the quantile of all activations."""
    return activation_quantile(num_classes, "cut_off", quantile, linear)


def bfact(xp: Any, outputs: Outputs, statistics: Statistics, *, quantile: Fraction = 0.95) -> Any:
    """Free energy of features that are damped the more the larger they are.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D), >= 0.
        statistics: `cut_off` (), `weight` (K, D) and `bias` (K,).
        quantile: Share in [0, 1] of training activations below the cut-off.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Kong & Li 2023, ICCSIP (BFAct): h / sqrt(1 + (h / q)^(2 n)) with n = 2. The cut-off is
    that of at most 1,000 training images.
    """
    features = penultimate(outputs)
    square = (features / statistics["cut_off"]) ** 2
    return energy_of(xp, features / xp.sqrt(1 + square * square), statistics)


HEAD = ScoreHead(
    "bfact",
    ("features",),
    bfact,
    source="Kong & Li 2023",
    fit=cut_off,
    reads_linear=True,
)
