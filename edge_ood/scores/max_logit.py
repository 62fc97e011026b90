"""Largest logit (Hendrycks et al. 2022)."""

from typing import Any

from edge_ood.scores import Outputs, ScoreHead, Statistics


def max_logit(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Minus the largest logit.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K), unbounded.
        statistics: Unused.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution. Not
        invariant to a constant added to all logits.

    Source: Hendrycks et al. 2022, arXiv:1911.11132, section 3.
    """
    return -xp.max(outputs.logits, axis=1)


HEAD = ScoreHead("max_logit", ("logits",), max_logit, source="Hendrycks et al. 2022, section 3")
