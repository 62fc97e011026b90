"""What heads that read penultimate features share: rows, their lengths, and how they are fitted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.scores import Outputs

__all__ = [
    "OfGaussian",
    "OfRows",
    "at_least",
    "fitted_rows",
    "float16_rows",
    "largest",
    "length",
    "penultimate",
    "unit_rows",
]

_LEAST_LENGTH = 1e-12
"""Of a row that is divided by its length; a row of zeros stays one."""


class OfRows:
    """An accumulator made of a sketch of one row an image.

    Args:
        sketch: Takes the rows.
        finish: From the sketch to named arrays.
        rows: From `Outputs` in NumPy to rows (N, D); the penultimate features by default.
    """

    def __init__(
        self,
        sketch: Any,
        finish: Callable[[Any], dict[str, NDArray[np.float64]]],
        rows: Callable[[Outputs], NDArray[Any]] | None = None,
    ) -> None:
        self._sketch = sketch
        self._finish = finish
        self._rows = rows or penultimate

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""
        self._sketch.update(self._rows(outputs), labels)

    def merge(self, other: "OfRows") -> None:
        """Take everything that `other` saw into account."""
        self._sketch.merge(other._sketch)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Named arrays for the head's formula."""
        return self._finish(self._sketch)


class OfGaussian(OfRows):
    """The same of a `ClassGaussian`, which has to know how features are rounded."""

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""
        self._sketch.update(self._rows(outputs), labels, roundoff=outputs.roundoff)


def penultimate(outputs: Outputs) -> Any:
    """Features (N, D) that the last linear layer reads."""
    return list(outputs.features.values())[-1]


def length(xp: Any, rows: Any) -> Any:
    """Euclidean lengths (N, 1) of rows (N, D), 1e-12 at least."""
    return at_least(xp, xp.sqrt(xp.sum(rows * rows, axis=1, keepdims=True)), _LEAST_LENGTH)


def unit_rows(xp: Any, rows: Any) -> Any:
    """Rows (N, D) of length one; zeros stay zeros."""
    return rows / length(xp, rows)


def fitted_rows(features: Any, *, normalize: bool) -> NDArray[np.float64]:
    """Features (N, D) as statistics are fitted on them, of length one if asked for."""
    rows = np.asarray(features, np.float64)
    return np.asarray(unit_rows(np, rows)) if normalize else rows


def at_least(xp: Any, x: Any, least: float) -> Any:
    """Numbers below a limit raised to it; NaN stays NaN."""
    return xp.where(x < least, least, x)


def largest(xp: Any, rows: Any, count: int) -> Any:
    """The `count` largest of each row, or all where there are fewer, the largest first."""
    return -xp.sort(-rows, axis=1)[:, :count]


def float16_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows rounded to what float16 holds, so that a file stores them in two bytes each."""
    return rows.astype(np.float16).astype(np.float64)
