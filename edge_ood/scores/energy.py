"""Free energy of the logits (Liu et al. 2020)."""

from typing import Any

from edge_ood.registry import Positive
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._softmax import logsumexp


def energy(
    xp: Any, outputs: Outputs, statistics: Statistics, *, temperature: Positive = 1.0
) -> Any:
    """Negative log-sum-exp of the logits, `-T log sum_k exp(z_k / T)`.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K), unbounded.
        statistics: Unused.
        temperature: T > 0, dimensionless.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution. Not
        invariant to a constant added to all logits.

    Source: Liu et al. 2020, arXiv:2010.03759, eq. 4. The maximum is subtracted first, because
    ONNX's ReduceLogSumExp guarantees no stability.
    """
    return -temperature * logsumexp(xp, outputs.logits / temperature)


HEAD = ScoreHead("energy", ("logits",), energy, source="Liu et al. 2020, eq. 4")
