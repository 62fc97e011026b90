"""ODIN: temperature and input perturbation (Liang et al. 2018)."""

from typing import Any, Literal

from edge_ood.registry import NonNegative, Positive
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._softmax import below_peak, log_total


def odin(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    temperature: Positive = 1000.0,
    epsilon: NonNegative = 0.0014,
    clip: bool = False,
    pixels: Literal["all", "one"] = "all",
) -> Any:
    """Softmax score at a high temperature on a perturbed image, in the log domain.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) of the perturbed image.
        statistics: Unused.
        temperature: T > 0, dimensionless.
        epsilon: Length of the perturbation in raw [0, 1] pixel units, >= 0; 0 scores the image as
            it is.
        clip: Keep the perturbed image within [0, 1].
        pixels: Which of them move: `all`, as in the paper, or of each image the `one` value, of one
            channel, whose derivative is the largest in size (i-ODIN).

    Returns:
        Scores of shape (N,), in logit units, in [-T log K, 0]; larger is more
        out-of-distribution. Equal to `-T (log S + log K)` with S the paper's score, the largest
        softmax probability at T, so it has S's ranking without its float32 ties.

    Source: Liang, Li & Srikant 2018, arXiv:1706.02690, eqs. 1 and 2. Near-equal numbers are not
    subtracted: the mean of `exp(d) - 1`, d = (z - max z) / T, is taken, then `log(1 + mean)`. One
    pixel: arXiv:2411.10794.
    """
    below = below_peak(xp, outputs.logits / temperature)
    return temperature * xp.log1p(xp.mean(xp.expm1(below), axis=1))


def negative_log_likelihood(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    temperature: float,
    **parameters: Any,
) -> dict[str, Any]:
    """Loss (N,) of the predicted class at temperature T, in nats, >= 0; ODIN descends it."""
    return {"logits": log_total(xp, below_peak(xp, outputs.logits / temperature))}


HEAD = ScoreHead(
    "odin",
    ("logits",),
    odin,
    source="Liang et al. 2018, eqs. 1 and 2",
    perturbation=negative_log_likelihood,
)
