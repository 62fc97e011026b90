"""Share of the features in their principal directions (Ben Ammar et al. 2024)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.registry import Fraction
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfGaussian, length, penultimate

_LEAST_DEVIATION = 1e-6
"""Of the largest; what hardly moves tells nothing."""


def principal_directions(num_classes: int, *, explained: float, **parameters: Any) -> OfGaussian:
    """Fits mean, deviations and the principal directions of standardised features."""

    def finish(gaussian: ClassGaussian) -> dict[str, NDArray[np.float64]]:
        centre, covariance = gaussian.total()
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        moving = deviation > _LEAST_DEVIATION * deviation.max()
        scale = np.where(moving, 1 / np.where(moving, deviation, 1), 0)
        variance, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
        variance, vectors = variance[::-1], vectors[:, ::-1]
        reached = np.cumsum(variance) / variance.sum()
        count = int(np.searchsorted(reached, explained)) + 1
        return {"centre": centre, "scale": scale, "principal": vectors[:, :count].copy()}

    return OfGaussian(ClassGaussian(num_classes), finish)


def neco(xp: Any, outputs: Outputs, statistics: Statistics, *, explained: Fraction = 0.9) -> Any:
    """Minus the largest logit times the share of the features' length in principal directions.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `centre` (D,), `scale` (D,), one over the deviations, and `principal` (D, d).
        explained: Share of the variance that the principal directions have.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Ben Ammar et al. 2024, arXiv:2310.06823, eq. 7, times the largest logit as in the
    paper's experiments, with as many directions as `explained` asks for.
    """
    standard = (penultimate(outputs) - statistics["centre"]) * statistics["scale"]
    along = xp.matmul(standard, statistics["principal"])
    share = length(xp, along)[:, 0] / length(xp, standard)[:, 0]
    return -xp.max(outputs.logits, axis=1) * share


HEAD = ScoreHead(
    "neco",
    ("logits", "features"),
    neco,
    source="Ben Ammar et al. 2024, eq. 7",
    fit=principal_directions,
)
