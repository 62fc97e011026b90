"""Energy guided by the nearest training images (Park et al. 2023)."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.bank import ClassBank
from edge_ood.registry import Bound
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows, float16_rows, largest, penultimate, unit_rows
from edge_ood.scores._softmax import logsumexp


def guided_rows(num_classes: int, *, bank: int, **parameters: Any) -> OfRows:
    """Keeps unit rows of training images times their log-sum-exp, each class as many."""

    def finish(sample: ClassBank) -> dict[str, NDArray[np.float64]]:
        return {"bank": float16_rows(sample.rows()[0])}

    def rows(outputs: Outputs) -> Any:
        return unit_rows(np, penultimate(outputs)) * logsumexp(np, outputs.logits)[:, None]

    return OfRows(ClassBank(num_classes, bank), finish, rows)


def nnguide(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    bank: Annotated[int, Bound(1)] = 5000,
    k: Annotated[int, Bound(1)] = 10,
) -> Any:
    """Minus the log-sum-exp times the mean confidence-weighted cosine to the k nearest images.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `bank` (M, D), M <= the parameter.
        bank: Training images that are kept, over all classes; 2 D bytes each in the file.
        k: How many neighbours count, at most as many as there are.

    Returns:
        Scores of shape (N,), in squared logit units, unbounded; larger is more
        out-of-distribution.

    Source: Park, Jung & Teoh 2023, arXiv:2309.14888, eqs. 4 and 5. The
    bank is a sample, equally large for each class, in place of the first of the images.
    """
    rows, members = unit_rows(xp, penultimate(outputs)), statistics["bank"]
    guidance = largest(xp, xp.tensordot(rows, members, axes=((1,), (1,))), k)
    return -xp.mean(guidance, axis=1) * logsumexp(xp, outputs.logits)


HEAD = ScoreHead(
    "nnguide",
    ("logits", "features"),
    nnguide,
    source="Park et al. 2023, eqs. 4 and 5",
    fit=guided_rows,
)
