"""Logits scaled by how peaked the features are (Xu et al. 2024)."""

from typing import Any

from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import peak_share, rectified, shapeable
from edge_ood.scores._softmax import logsumexp


def largest_kept(
    num_classes: int, *, percentile: float, linear: LinearLayer, **parameters: Any
) -> OfRows:
    """Fits nothing; tells whether the features are such that scaling helps."""
    return shapeable(num_classes, percentile, bias=linear.bias)


def scale(xp: Any, outputs: Outputs, statistics: Statistics, *, percentile: Fraction = 0.85) -> Any:
    """Free energy with the features times e to the share of their sum in the largest.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D), >= 0.
        statistics: `kept` (), how many features are beyond the percentile; `bias` (K,).
        percentile: Share in [0, 1] of the features that are not among the largest.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Xu et al. 2024, arXiv:2310.00227, eqs. 4 and 5. Features scaled by r give logits scaled
    by r but for the bias, so no weights are in the file.
    """
    features = rectified(xp, penultimate(outputs))
    factor = xp.exp(peak_share(xp, features, int(statistics["kept"])))
    bias = statistics["bias"]
    return -logsumexp(xp, factor * (outputs.logits - bias) + bias)


HEAD = ScoreHead(
    "scale",
    ("logits", "features"),
    scale,
    source="Xu et al. 2024, eqs. 4 and 5",
    fit=largest_kept,
    reads_linear=True,
)
