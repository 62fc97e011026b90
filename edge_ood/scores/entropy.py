"""Entropy of the softmax."""

from typing import Any

from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._softmax import below_peak, log_total, softmax


def entropy(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Shannon entropy of the class probabilities.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K).
        statistics: Unused.

    Returns:
        Scores of shape (N,), in nats, in [0, log K]; larger is more out-of-distribution.

    Source: Shannon 1948; as a detector Macedo et al. 2021, arXiv:1908.05569, section III. Computed
    as `log sum exp(b) - sum p b` with b the logits below their largest.
    """
    below = below_peak(xp, outputs.logits)
    shares = softmax(xp, outputs.logits, axis=1)
    return log_total(xp, below) - xp.sum(shares * below, axis=1)


HEAD = ScoreHead(
    "entropy",
    ("logits",),
    entropy,
    source="Macedo et al. 2021, section III",
    reads_probabilities=True,
    not_recommended="no table puts it first; `gen` is its better relative",
)
