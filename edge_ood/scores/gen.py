"""Generalized entropy (Liu et al. 2023)."""

from typing import Annotated, Any

from edge_ood.registry import Bound, Positive
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import largest
from edge_ood.scores._softmax import logsumexp
from edge_ood.scores.msp import msp


def gen(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    gamma: Positive = 0.1,
    classes: Annotated[int, Bound(1)] = 100,
) -> Any:
    """Generalized entropy of the largest class probabilities, `sum p^gamma (1 - p)^gamma`.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K).
        statistics: Unused.
        gamma: Exponent > 0; small ones look at small probabilities.
        classes: M, how many of the largest probabilities count, 1 or more.

    Returns:
        Scores of shape (N,), in [0, min(M, K) 4^-gamma]; larger is more out-of-distribution.

    Source: Liu, Lochman & Zach 2023, CVPR (GEN), eq. 4, with the paper's gamma and M. `1 - p` of
    the predicted class is the sum of the others, `p^gamma` is `exp(gamma log p)`: neither is
    rounded to zero.
    """
    logits = outputs.logits
    logs = largest(xp, logits, classes) - xp.expand_dims(logsumexp(xp, logits), axis=1)
    shares = xp.exp(logs)
    others = xp.expand_dims(msp(xp, outputs, statistics), axis=1)
    rest = xp.where(shares < 0.5, 1 - shares, others)
    return xp.sum(xp.exp(gamma * logs) * rest**gamma, axis=1)


HEAD = ScoreHead("gen", ("logits",), gen, source="Liu et al. 2023, eq. 4", reads_probabilities=True)
