"""Logits times the squared peakedness of the features (Djurisic et al. 2024)."""

from typing import Any

from edge_ood.registry import Fraction
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import peak_share, rectified, shapeable
from edge_ood.scores._softmax import logsumexp


def largest_kept(num_classes: int, *, top: float, **parameters: Any) -> OfRows:
    """Fits nothing; tells whether the features are such that scaling helps."""
    return shapeable(num_classes, 1 - top)


def lts(xp: Any, outputs: Outputs, statistics: Statistics, *, top: Fraction = 0.05) -> Any:
    """Free energy of logits times the squared share of the features' sum in the largest.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D), >= 0.
        statistics: `kept` (), how many features are among the largest.
        top: Their share in [0, 1].

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Djurisic, Liu & Nikolic 2024, arXiv:2409.00961 (logit scaling), eqs. 3 and 4.
    """
    features = rectified(xp, penultimate(outputs))
    share = peak_share(xp, features, int(statistics["kept"]))
    return -logsumexp(xp, outputs.logits * share * share)


HEAD = ScoreHead(
    "lts",
    ("logits", "features"),
    lts,
    source="Djurisic et al. 2024, eqs. 3 and 4",
    fit=largest_kept,
)
