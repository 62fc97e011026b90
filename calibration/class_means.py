"""Class means of features, in a stream."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.checks import check_every_class, finite_features
from edge_ood.errors import CalibrationError

__all__ = ["ClassMeans"]


class ClassMeans:
    """Sums in float64 of rows (N, D) by class, and the smallest number of all.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self._counts = np.zeros(num_classes, np.int64)
        self._sums = np.zeros((num_classes, 0))
        self._least = np.inf

    def update(self, rows: ArrayLike, labels: ArrayLike) -> None:
        """Take one batch into account.

        Raises:
            CalibrationError: If a number is not finite.
        """
        batch, classes = finite_features(rows, np.float64), np.asarray(labels)
        self._start(batch.shape[1])
        np.add.at(self._sums, classes, batch)
        self._counts += np.bincount(classes, minlength=len(self._counts))
        self._least = min(self._least, float(batch.min(initial=np.inf)))

    def merge(self, other: "ClassMeans") -> None:
        """Take everything that `other` saw into account."""
        self._start(other._sums.shape[1])
        self._sums += other._sums
        self._counts += other._counts
        self._least = min(self._least, other._least)

    @property
    def width(self) -> int:
        """D."""
        return int(self._sums.shape[1])

    @property
    def least(self) -> float:
        """The smallest number of all rows."""
        return self._least

    def mean(self) -> NDArray[np.float64]:
        """Of all rows (D,).

        Raises:
            CalibrationError: If there is none.
        """
        if not self._counts.any():
            raise CalibrationError("there is no training image to fit statistics on")
        mean: NDArray[np.float64] = self._sums.sum(axis=0) / self._counts.sum()
        return mean

    def means(self) -> NDArray[np.float64]:
        """Of each class (K, D).

        Raises:
            CalibrationError: If a class has no row.
        """
        check_every_class(self._counts)
        return self._sums / self._counts[:, None]

    def _start(self, width: int) -> None:
        if not self.width:
            self._sums = np.zeros((len(self._counts), width))
