"""What the rows of somebody else's network hold, told by the numbers."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BOUNDED", "kind_of", "predicted"]

BOUNDED = "scores in [0, 1]"
"""What is neither logits nor sums to one, such as the sigmoids of several labels."""

_HALF = 0.5
_SUM_TOLERANCE = 1e-3
"""How far the sum of float16 or float32 probabilities may be from one."""

_FEWEST_ALIKE = 8
"""Images whose rows have one sum, where that is not one."""


def predicted(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Class indices (N,) of rows (N, K); of one number, a probability or a logit, 0 or 1."""
    if rows.shape[1] > 1:
        return np.asarray(rows.argmax(axis=1), np.int64)
    least = _HALF if _within_unit(rows) else 0
    return (rows[:, 0] > least).astype(np.int64)


def kind_of(rows: NDArray[np.float64]) -> str:
    """What rows (N, K) of real images hold.

    Returns:
        `probabilities`: rows that sum to one, or all to some other number, or single numbers in
        [0, 1]; `log-probabilities`; `scores in [0, 1]`, whose sums differ; or `logits`.
    """
    if _sum_to_one(rows):
        return "probabilities"
    if rows.shape[1] > 1 and rows.max() <= 0 and _sum_to_one(np.exp(rows)):
        return "log-probabilities"
    return BOUNDED if rows.shape[1] > 1 and _within_unit(rows) else "logits"


def _sum_to_one(rows: NDArray[np.float64]) -> bool:
    """Whether rows are shares of one whole, of whatever size; single numbers are within [0, 1]."""
    if rows.shape[1] == 1:
        return _within_unit(rows)
    total = rows.sum(axis=1)
    is_one = bool((np.abs(total - 1) < _SUM_TOLERANCE).all())
    # Of few images, the sums may be alike by chance.
    is_alike = len(rows) >= _FEWEST_ALIKE and float(np.ptp(total)) < _SUM_TOLERANCE * total.max()
    return bool((rows >= 0).all()) and (is_one or is_alike)


def _within_unit(rows: NDArray[np.float64]) -> bool:
    return bool((rows >= 0).all() and (rows <= 1 + _SUM_TOLERANCE).all())
