"""Each feature kept within quantiles of its own (Xu et al. 2023)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.registry import Fraction
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate
from edge_ood.scores._last_layer import activations, energy_of, linear_arrays


def limits(
    num_classes: int, *, lowest: float, highest: float, linear: LinearLayer, **parameters: Any
) -> OfRows:
    """Fits two quantiles of each feature."""

    def finish(rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        low, high = np.quantile(rows, [lowest, highest], axis=0)
        return {"low": low, "high": high, **linear_arrays(linear)}

    return activations(num_classes, finish)


def vra(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    lowest: Fraction = 0.05,
    highest: Fraction = 0.95,
) -> Any:
    """Free energy of features clipped to what is usual for each of them.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D), >= 0.
        statistics: `low` (D,), `high` (D,), `weight` (K, D) and `bias` (K,).
        lowest: Quantile in [0, 1] below which a feature is raised.
        highest: Quantile above which it is cut.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Xu et al. 2023, arXiv:2302.11886 (variational rectified activation), as pytorch-ood
    reads it: the paper sets small features to zero. Quantiles are of at most 1,000 training images.
    """
    clipped = xp.maximum(xp.minimum(penultimate(outputs), statistics["high"]), statistics["low"])
    return energy_of(xp, clipped, statistics)


HEAD = ScoreHead(
    "vra",
    ("features",),
    vra,
    source="Xu et al. 2023",
    fit=limits,
    reads_linear=True,
    not_recommended="no table puts it first, and three libraries compute three different scores",
)
