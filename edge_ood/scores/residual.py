"""Distance from the subspace of the training features (Wang et al. 2022)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.registry import Count
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfGaussian, fitted_rows, penultimate, unit_rows
from edge_ood.scores._subspace import minor_directions, off_subspace


def subspace(
    num_classes: int, *, dimensions: int, normalize: bool, **parameters: Any
) -> OfGaussian:
    """Fits mean and principal directions of all images."""

    def finish(gaussian: ClassGaussian) -> dict[str, NDArray[np.float64]]:
        centre, covariance = gaussian.total()
        return {"centre": centre, **minor_directions(covariance, dimensions)}

    def rows(outputs: Outputs) -> Any:
        return fitted_rows(penultimate(outputs), normalize=normalize)

    return OfGaussian(ClassGaussian(num_classes), finish, rows)


def residual(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    dimensions: Count = 0,
    normalize: bool = True,
) -> Any:
    """Length of what the principal directions of training features leave of an image's.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `centre` (D,), and `minor` (D, D - d) or `principal` (D, d) directions.
        dimensions: d, directions that count as known; 0 for 1000 of 2048 or more features, 512 of
            768 or more, else half of them.
        normalize: Features of length one.

    Returns:
        Scores of shape (N,), >= 0; larger is more out-of-distribution.

    Source: Wang et al. 2022, arXiv:2203.10807, eq. 3, about the mean in place of a point made of
    the last layer's weights, which need not be near any image.
    """
    features = penultimate(outputs)
    rows = unit_rows(xp, features) if normalize else features
    return off_subspace(xp, rows - statistics["centre"], statistics)


HEAD = ScoreHead(
    "residual",
    ("features",),
    residual,
    source="Wang et al. 2022, eq. 3",
    fit=subspace,
)
