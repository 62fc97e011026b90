"""Class-conditional Gaussians with one shared covariance, fitted in a stream.

The tied covariance divides by N, as scikit-learn's EmpiricalCovariance does on the residuals.
Sums are kept in float64 around the first batch's mean, so that memory does not grow with N and
large feature offsets do not cancel.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.checks import check_every_class, finite_features
from edge_ood.errors import CalibrationError, ShapeError

__all__ = ["ClassGaussian"]

_RELATIVE_RANK_TOLERANCE = 1e-10
"""Eigenvalues below this fraction of the largest carry no information in float32 features."""

_ROUNDING = 1e-14
"""Variance below this fraction of the features' mean squared length, offset included, is float32
rounding: 1e-7 squared. Features that hardly move around a large offset are rounded as that is."""

_ABOVE_ROUNDING = 16
"""Variance, over that of rounding, of a direction in which coarser features than float32's tell
images apart; squared distances along it are off by no more than a few per cent."""

_ROWS_AT_ONCE = 1024
"""Rows that wait for one matrix product; with 64 at a time it takes three times as long."""

_LONG = 1 << 16
"""Numbers in a matrix that a file should hold in two bytes each."""

_ADDED_VARIANCE = 0.01
"""Of a whitened coordinate, where it is one, that rounding to two bytes may add."""


class ClassGaussian:
    """Streaming class means and shared covariance of features (N, D)."""

    def __init__(self, num_classes: int) -> None:
        self._waiting: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
        self._counts = np.zeros(num_classes, np.int64)
        self._origin: NDArray[np.float64] | None = None
        self._sums = np.zeros((num_classes, 0))
        self._products = np.zeros((0, 0))
        self._roundoff = 0.0

    def update(self, features: ArrayLike, labels: ArrayLike, *, roundoff: float = 0.0) -> None:
        """Take one batch into account.

        Args:
            features: Float array of shape (N, D), any scale.
            labels: Integer array of shape (N,), in [0, K).
            roundoff: Relative rounding error of the features, such as 2^-11 of float16; it need
                not be told of float32.

        Raises:
            ShapeError: If D differs from earlier batches, or N from the labels.
            CalibrationError: If a feature is not finite.
        """
        batch, classes = np.asarray(features, np.float64), np.asarray(labels)
        if batch.ndim != 2 or len(batch) != len(classes):
            raise ShapeError(
                f"features of shape {batch.shape} with {len(classes)} labels, expected (N, D)"
            )
        finite_features(batch, np.float64)
        if not len(batch):
            return
        if self._origin is None:
            self._start(batch.mean(axis=0))
        assert self._origin is not None  # started by now
        if batch.shape[1] != len(self._products):
            raise ShapeError(
                f"features have {batch.shape[1]} columns but earlier ones {len(self._products)}"
            )
        self._roundoff = max(self._roundoff, roundoff)
        self._waiting.append((batch - self._origin, classes.copy()))
        if sum(len(shifted) for shifted, _ in self._waiting) >= _ROWS_AT_ONCE:
            self._take_waiting()

    def merge(self, other: "ClassGaussian") -> None:
        """Take everything that `other` saw into account."""
        if other._origin is None:
            return
        if self._origin is None:
            self._start(other._origin)
        assert self._origin is not None  # started by now
        self._take_waiting()
        other._take_waiting()
        shift = other._origin - self._origin
        crossed = np.outer(other._sums.sum(axis=0), shift)
        total = other._counts.sum()
        self._products += other._products + crossed + crossed.T + total * np.outer(shift, shift)
        self._sums += other._sums + np.outer(other._counts, shift)
        self._counts += other._counts
        self._roundoff = max(self._roundoff, other._roundoff)

    @property
    def width(self) -> int:
        """D, 0 before the first batch."""
        return len(self._products)

    @property
    def free(self) -> int:
        """Images beyond those that the class means take."""
        self._take_waiting()
        return int(self._counts.sum()) - len(self._counts)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Each class's share (K,) of the images."""
        self._take_waiting()
        shares: NDArray[np.float64] = self._counts / max(1, self._counts.sum())
        return shares

    def total(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (D,) and covariance (D, D), divided by N, of all images, whatever their class.

        Raises:
            CalibrationError: If there is none.
        """
        self._take_waiting()
        count = self._counts.sum()
        if self._origin is None or not count:
            raise CalibrationError("there is no training image to fit statistics on")
        shift = self._sums.sum(axis=0) / count
        return self._origin + shift, self._products / count - np.outer(shift, shift)

    def finish(self, *, shrinkage: float = 0.0, rank: int = 0) -> dict[str, NDArray[np.float64]]:
        """Centre, whitening matrix and whitened means.

        Args:
            shrinkage: Share in [0, 1] of a multiple of the identity, of equal trace, that is mixed
                into the covariance: `(1 - s) C + s tr(C) / D I`. With 0, directions without
                variance are left out (pseudo-inverse).
            rank: Number of principal directions to keep; 0, or as many as there are, keeps all.
                The others get their mean variance, each the same, so that one number stands for
                all of them: `C = V diag(variance) V^T + rest (I - V V^T)`.

        Returns:
            `centre` (D,): the grand mean. `whitening` (D, R), R the rank: `whitening @
            whitening.T` is the (pseudo-)inverse of the tied covariance. `means` (K, R): the class
            means, centred and whitened. Where directions were cut off also `variance` (R,) along
            those that are kept, `rest_precision` (), one by the variance along each other one,
            `rest_means` (K, D), what the kept directions leave of the centred class means, and
            `explained` (), the share of the variance that they keep.

        Raises:
            CalibrationError: If a class has no image, or all features are constant.

        Source: of the cut, Tipping and Bishop 1999, Probabilistic principal component analysis,
        eq. 8, with the mean over directions that vary at all.
        """
        means, centre, covariance, least = self._moments()
        identity = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
        variance, vectors = _principal(
            (1 - shrinkage) * covariance + shrinkage * identity, least=least
        )
        kept = slice(rank or None)
        whitening = _in_halves(vectors[:, kept] / np.sqrt(variance[kept]), covariance)
        whole = {"centre": centre, "whitening": whitening, "means": means @ whitening}
        if not 0 < rank < len(variance):
            return whole
        projected = (means @ whitening * variance[kept]) @ whitening.T
        return {
            **whole,
            "variance": variance[kept],
            "rest_precision": np.asarray(1 / variance[rank:].mean()),
            "rest_means": means - projected,
            "explained": np.asarray(variance[kept].sum() / variance.sum()),
        }

    def _moments(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
        """Centred class means, grand mean, tied covariance, and the variance that is rounding."""
        self._take_waiting()
        check_every_class(self._counts)
        assert self._origin is not None  # there is an image
        means = self._sums / self._counts[:, None]
        grand_mean = self._sums.sum(axis=0) / self._counts.sum()
        centre = self._origin + grand_mean
        between = (means * self._counts[:, None]).T @ means
        covariance = (self._products - between) / self._counts.sum()
        squares = np.diag(self._products) / self._counts.sum() - grand_mean**2 + centre**2
        # Errors of float16 are independent of each other, and one direction gets one's share.
        coarse = _ABOVE_ROUNDING * self._roundoff**2 * squares.max()
        least = max(_ROUNDING * squares.sum(), coarse)
        return means - grand_mean, centre, covariance, least

    def _start(self, origin: NDArray[np.float64]) -> None:
        """Count sums from an origin near the features, so that their squares do not cancel."""
        self._origin = origin
        self._sums = np.zeros((len(self._counts), len(origin)))
        self._products = np.zeros((len(origin), len(origin)))

    def _take_waiting(self) -> None:
        """Add the batches that wait to the sums."""
        if not self._waiting:
            return
        shifted = np.concatenate([rows for rows, _ in self._waiting])
        classes = np.concatenate([labels for _, labels in self._waiting])
        self._waiting.clear()
        membership = np.equal.outer(np.arange(len(self._counts)), classes).astype(np.float64)
        self._counts += np.bincount(classes, minlength=len(self._counts))
        self._sums += membership @ shifted
        self._products += shifted.T @ shifted


def _principal(
    covariance: NDArray[np.float64], *, least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (R,) and directions (D, R) of a covariance (D, D), the largest first."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(_RELATIVE_RANK_TOLERANCE * values[-1], least)
    if not kept.any():
        raise CalibrationError(
            "the features of each class are all equal, so their covariance is zero",
            hint="use more, and different, training images",
        )
    return values[kept][::-1].copy(), vectors[:, kept][:, ::-1].copy()


def _in_halves(
    whitening: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The matrix (D, R) as float16 holds it, if it is long and no direction suffers."""
    if whitening.size < _LONG:
        return whitening
    with np.errstate(over="ignore"):
        rounded = whitening.astype(np.float16).astype(np.float64)
    if not np.isfinite(rounded).all():
        return whitening
    errors = rounded - whitening
    added = np.sum(errors * (covariance @ errors), axis=0)
    return rounded if added.max() <= _ADDED_VARIANCE else whitening
