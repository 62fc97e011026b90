"""Discrepancy of two classifier heads (Yu & Aizawa 2019)."""

from typing import Any

from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._softmax import softmax


def mcd_l1(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """L1 distance between the softmax outputs of two heads.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits_pair` (N, 2, K) of a two-head network.
        statistics: Unused.

    Returns:
        Scores of shape (N,), in [0, 2]; larger is more out-of-distribution.

    Source: Yu & Aizawa 2019, arXiv:1908.04951, section 3.4.
    """
    p = softmax(xp, outputs.logits_pair, axis=2)
    return xp.sum(xp.abs(p[:, 0] - p[:, 1]), axis=1)


HEAD = ScoreHead("mcd_l1", ("logits_pair",), mcd_l1, source="Yu & Aizawa 2019, section 3.4")
