"""Norm of a gradient, in closed form (Huang et al. 2021)."""

from typing import Any

from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import penultimate
from edge_ood.scores._softmax import softmax


def gradnorm(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Minus the L1 norm of the last layer's gradient of the KL divergence from uniform.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: Unused.

    Returns:
        Scores of shape (N,), <= 0; larger is more out-of-distribution.

    Source: Huang, Geng & Li 2021, arXiv:2110.00218, eqs. 7 to 9 with T = 1: the gradient is an
    outer product, so its norm is `sum_k |p_k - 1/K| sum_d |h_d|`.
    """
    shares = softmax(xp, outputs.logits, axis=1)
    uneven = xp.abs(shares - xp.mean(shares, axis=1, keepdims=True))
    return -xp.sum(uneven, axis=1) * xp.sum(xp.abs(penultimate(outputs)), axis=1)


HEAD = ScoreHead(
    "gradnorm",
    ("logits", "features"),
    gradnorm,
    source="Huang et al. 2021, eqs. 7 to 9",
    not_recommended="AUROC of 39 near and 42 far on ViT-B, 55 and 58 on CIFAR-10",
)
