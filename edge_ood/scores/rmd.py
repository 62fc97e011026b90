"""Relative Mahalanobis distance, in discriminant directions (Ren et al. 2021)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfGaussian, fitted_rows, penultimate, unit_rows

_ROUNDING = 1e-12


def discriminants(num_classes: int, *, normalize: bool, **parameters: Any) -> OfGaussian:
    """Fits the directions in which the classes differ, once their spread is the same everywhere."""

    def finish(gaussian: ClassGaussian) -> dict[str, NDArray[np.float64]]:
        fitted = gaussian.finish()
        weighted = np.sqrt(gaussian.shares)[:, None] * fitted["means"]
        _, spread, directions = np.linalg.svd(weighted, full_matrices=False)
        kept = spread > _ROUNDING * max(1.0, spread[0])
        between = spread[kept] ** 2
        return {
            "centre": fitted["centre"],
            "projection": fitted["whitening"] @ directions[kept].T,
            "means": fitted["means"] @ directions[kept].T,
            "background": between / (1 + between),
        }

    def rows(outputs: Outputs) -> Any:
        return fitted_rows(penultimate(outputs), normalize=normalize)

    return OfGaussian(ClassGaussian(num_classes), finish, rows)


def rmd(xp: Any, outputs: Outputs, statistics: Statistics, *, normalize: bool = True) -> Any:
    """Squared distance to the nearest class less that to all images as one class.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `centre` (D,), `projection` (D, R) on at most K - 1 directions, `means` (K, R)
            of classes there and `background` (R,), the variance between classes of the whole.
        normalize: Features of length one, as in Mahalanobis++.

    Returns:
        Scores of shape (N,), dimensionless, of both signs; larger is more out-of-distribution.

    Source: Ren et al. 2021, arXiv:2106.09022, eq. 2. Where no class differs from another, variance
    within classes is all the variance, and both distances are the same: only the K - 1 directions
    of linear discriminant analysis are left, D (K - 1) numbers for two matrices of D x D. It is
    blind to all others, so `mahalanobis` belongs beside it.
    """
    features = penultimate(outputs)
    rows = unit_rows(xp, features) if normalize else features
    means = statistics["means"]
    along = xp.matmul(rows - statistics["centre"], statistics["projection"])
    halves = xp.sum(means * means, axis=1) / 2 - xp.tensordot(along, means, axes=((1,), (1,)))
    return 2 * xp.min(halves, axis=1) + xp.sum(along * along * statistics["background"], axis=1)


HEAD = ScoreHead(
    "rmd",
    ("features",),
    rmd,
    source="Ren et al. 2021, eq. 2",
    fit=discriminants,
)
