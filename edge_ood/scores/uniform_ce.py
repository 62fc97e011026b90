"""Negative cross-entropy from the uniform distribution (Hendrycks et al. 2019)."""

from typing import Any

from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._softmax import below_peak, log_total


def uniform_ce(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Mean logit minus log-sum-exp, which is `-H(U; p)`.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K).
        statistics: Unused.

    Returns:
        Scores of shape (N,), in nats, at most `-log K` (reached when p is uniform); larger is
        more out-of-distribution.

    Source: Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606, section 4 (the alternative
    score of the Outlier Exposure paper). The maximum is subtracted from both terms first.
    """
    below = below_peak(xp, outputs.logits)
    return xp.mean(below, axis=1) - log_total(xp, below)


HEAD = ScoreHead(
    "uniform_ce",
    ("logits",),
    uniform_ce,
    source="Hendrycks et al. 2019, section 4",
    reads_probabilities=True,
)
