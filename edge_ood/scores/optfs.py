"""Features weighted by what numbers of their size add on training images (Zhao et al. 2024)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, at_least, penultimate
from edge_ood.scores._last_layer import activations, energy_of, linear_arrays

_BINS = 100
_RANGE = (0.001, 0.999)
"""Quantiles of all activations that the bins lie between."""


def contributions(num_classes: int, *, linear: LinearLayer, **parameters: Any) -> OfRows:
    """Fits what the activations of each bin add to the logit of the predicted class."""

    def finish(rows: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        low, high = np.quantile(rows, _RANGE)
        width = (high - low) / _BINS
        if not width > 0:
            raise CalibrationError(
                f"99.8 % of the activations are {low:.3g}, and shaping needs some that differ",
                hint="leave it out of --scores",
            )
        predicted = (rows @ linear.weight.T + linear.bias).argmax(axis=1)
        added = rows * linear.weight[predicted]
        theta, _ = np.histogram(rows, _BINS, (low, high), weights=added)
        theta = theta / max(float(np.linalg.norm(theta)), np.finfo(np.float64).tiny)
        return {
            "centres": low + width * (np.arange(_BINS) + 0.5),
            "width": np.asarray(width),
            "theta": theta * np.sqrt(_BINS),
            **linear_arrays(linear),
        }

    return activations(num_classes, finish)


def optfs(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Free energy of features times a weight that depends on their size.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D), >= 0.
        statistics: `centres` (B,) and `width` () of bins of activations, `theta` (B,), the weight
            at each centre; `weight` (K, D) and `bias` (K,).

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Zhao et al. 2024, arXiv:2402.00865, the closed form without OOD images, with energies
    ("E"), and B = 100 bins of at most 1,000 training images. Changed: between centres the weight is
    interpolated, since rounding may move a feature to the next bin; beyond them it stays, where
    the authors' is 0, so that one very large feature would raise the score; its mean square is 1
    and not 10,000, which leaves of the log-sum the maximum. AUROC is the same within .1.
    """
    features, centres = penultimate(outputs), statistics["centres"]
    within = xp.maximum(xp.minimum(features, centres[-1]), centres[0])
    distance = xp.abs(xp.expand_dims(within, axis=2) - centres)
    shares = at_least(xp, 1 - distance / statistics["width"], 0.0)
    return energy_of(xp, features * xp.matmul(shares, statistics["theta"]), statistics)


HEAD = ScoreHead(
    "optfs",
    ("features",),
    optfs,
    source="Zhao et al. 2024, closed form",
    fit=contributions,
    reads_linear=True,
)
