"""Maximum softmax probability (Hendrycks & Gimpel 2017)."""

from typing import Any

from edge_ood.registry import Positive
from edge_ood.scores import Outputs, ScoreHead, Statistics


def msp(xp: Any, outputs: Outputs, statistics: Statistics, *, temperature: Positive = 1.0) -> Any:
    """One minus the largest softmax probability, without its rounding to zero.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K).
        statistics: Unused.
        temperature: T > 0, dimensionless; that of the artefact's probabilities unless it is given.

    Returns:
        Scores of shape (N,), probabilities in [0, 1 - 1/K]; larger is more out-of-distribution.

    Source: Hendrycks & Gimpel 2017, arXiv:1610.02136, section 3; the temperature is that of Guo et
    al. 2017, arXiv:1706.04599, section 4.2. Computed as `s / (1 + s)` with s the sum of
    `exp((z_i - max z) / T)` over the other classes: `1 - p` would tie confident images at 0 in
    float32. Classes that tie with the maximum count as others, except one of them.
    """
    z = outputs.logits
    peak = xp.max(z, axis=1, keepdims=True)
    ratio = xp.exp((z - peak) / temperature)
    is_smaller = z < peak
    ties = xp.sum(xp.where(is_smaller, 0, ratio), axis=1) - 1  # each is exactly 1
    others = xp.sum(xp.where(is_smaller, ratio, 0), axis=1) + ties
    return others / (1 + others)


HEAD = ScoreHead(
    "msp",
    ("logits",),
    msp,
    source="Hendrycks & Gimpel 2017, section 3",
    reads_probabilities=True,
    is_probability=True,
)
