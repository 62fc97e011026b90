"""Cosine to the class means (Ngoc-Hieu et al. 2023)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, penultimate, unit_rows


def mean_directions(num_classes: int, **parameters: Any) -> OfRows:
    """Fits the direction of each class's mean unit row."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        return {"directions": unit_rows(np, sums.means())}

    def rows(outputs: Outputs) -> Any:
        return unit_rows(np, penultimate(outputs))

    return OfRows(ClassMeans(num_classes), finish, rows)


def ctm(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """Minus the largest cosine between the features and a class's mean.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `directions` (K, D), of length one.

    Returns:
        Scores of shape (N,), in [-1, 1]; larger is more out-of-distribution.

    Source: Ngoc-Hieu et al. 2023, arXiv:2306.09613 (class typical matching), with means of unit
    rows.
    """
    cosines = xp.tensordot(
        unit_rows(xp, penultimate(outputs)), statistics["directions"], axes=((1,), (1,))
    )
    return -xp.max(cosines, axis=1)


HEAD = ScoreHead(
    "ctm",
    ("features",),
    ctm,
    source="Ngoc-Hieu et al. 2023",
    fit=mean_directions,
)
