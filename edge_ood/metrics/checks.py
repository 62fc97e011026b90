"""Checks of one-dimensional arrays that a caller passes: scores, confidences and class marks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import InputError, ShapeError

__all__ = ["checked_marks", "checked_vector", "fraction"]


def checked_vector(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Numbers (N,) in float64, N at least 1, infinities allowed.

    Raises:
        InputError: If there is no number, or one is NaN.
        ShapeError: If there is not one dimension.
    """
    checked = np.asarray(values, np.float64)
    if checked.ndim != 1:
        raise ShapeError(f"{what} of shape {checked.shape}, expected (N,)")
    if not checked.size:
        raise InputError(f"no {what}, expected at least one")
    if np.isnan(checked).any():
        raise InputError(f"{int(np.isnan(checked).sum())} of {len(checked)} {what} are NaN")
    return checked


def checked_marks(marks: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Truth values (n,), and nothing that could be meant as labels or indices.

    Raises:
        ShapeError: If they are not `n`, or not of type bool.
    """
    checked = np.asarray(marks)
    if checked.dtype != np.bool_ or checked.shape != (n,):
        raise ShapeError(
            f"class marks of type {checked.dtype} and shape {checked.shape}, "
            f"expected bool of shape {(n,)}"
        )
    return checked


def fraction(mask: ArrayLike, what: str) -> float:
    """Share in [0, 1] of truth values (N,) that are true.

    Raises:
        InputError: If there is none.
    """
    checked = np.asarray(mask, np.bool_)
    if not checked.size:
        raise InputError(f"no {what}, expected at least one")
    return float(checked.sum() / checked.size)
