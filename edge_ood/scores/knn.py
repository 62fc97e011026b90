"""Distance to the k-th nearest training image (Sun et al. 2022)."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.bank import ClassBank
from edge_ood.registry import Bound, Count
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, float16_rows, length, penultimate, unit_rows


def nearest_rows(num_classes: int, *, bank: int, **parameters: Any) -> OfRows:
    """Keeps unit rows of training images, each class as many."""

    def finish(sample: ClassBank) -> dict[str, NDArray[np.float64]]:
        return {"bank": float16_rows(sample.rows()[0])}

    def rows(outputs: Outputs) -> Any:
        return unit_rows(np, penultimate(outputs))

    return OfRows(ClassBank(num_classes, bank), finish, rows)


def knn(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    bank: Annotated[int, Bound(1)] = 5000,
    k: Count = 0,
) -> Any:
    """Distance from the features to the k-th nearest of a bank, all of length one.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses the last of `features` (N, D).
        statistics: `bank` (M, D), M <= the parameter.
        bank: Training images that are kept, over all classes; 2 D bytes each in the file.
        k: Which neighbour counts; 0 for one in a thousand of the bank, the second at least, as a
            training image is its own nearest.

    Returns:
        Scores of shape (N,), in [0, 2]; larger is more out-of-distribution.

    Source: Sun et al. 2022, arXiv:2204.06507, eq. 1 and algorithm 1. The bank is a sample, equally
    large for each class. The neighbour is found by its cosine, and its distance taken from the
    difference, which does not cancel.
    """
    rows, members = unit_rows(xp, penultimate(outputs)), statistics["bank"]
    wanted = min(k or max(2, round(len(members) / 1000)), len(members))
    cosines = xp.tensordot(rows, members, axes=((1,), (1,)))
    neighbour = xp.argsort(-cosines, axis=1)[:, wanted - 1]
    return length(xp, rows - xp.take(members, neighbour, axis=0))[:, 0]


HEAD = ScoreHead(
    "knn",
    ("features",),
    knn,
    source="Sun et al. 2022, eq. 1",
    fit=nearest_rows,
)
