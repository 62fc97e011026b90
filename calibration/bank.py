"""A bounded sample of training features, the same whatever the order in which they come.

Each class keeps the rows whose hash is smallest: a uniform sample of its distinct rows that can be
taken in a stream, and of which two merge into the sample of both.

Source: bottom-k sketches, Cohen and Kaplan 2007.
"""

import hashlib
from collections import defaultdict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.checks import finite_features
from edge_ood.errors import CalibrationError

__all__ = ["ClassBank"]

_Part = tuple[NDArray[np.uint64], NDArray[np.float32]]
"""Hashes and rows."""

_MOST_WAITING = 8192
"""Rows that wait until the superfluous ones among them are dropped."""

_HASH_BYTES = 8


class ClassBank:
    """At most `size` rows over all classes, shared equally; copies count once.

    Args:
        num_classes: K.
        size: Rows to keep; each class keeps one at least.
    """

    def __init__(self, num_classes: int, size: int) -> None:
        self._most = max(1, size // num_classes)
        self._waiting = 0
        self._parts: defaultdict[int, list[_Part]] = defaultdict(list)

    def update(self, rows: ArrayLike, labels: ArrayLike) -> None:
        """Take one batch into account.

        Args:
            rows: Finite (N, D), kept as float32.
            labels: In [0, K), (N,).

        Raises:
            CalibrationError: If a number is not finite.
        """
        batch, classes = finite_features(rows, np.float32), np.asarray(labels)
        hashes = np.array([_hash(row) for row in batch], np.uint64)
        for label in np.unique(classes).tolist():
            chosen = classes == label
            self._parts[label].append((hashes[chosen], batch[chosen]))
        self._waiting += len(batch)
        if self._waiting > _MOST_WAITING:
            self._drop()

    def merge(self, other: "ClassBank") -> None:
        """Take everything that `other` saw into account."""
        for label, parts in other._parts.items():
            self._parts[label].extend(parts)
        self._drop()

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Rows (M, D), those of a class together, and their classes (M,).

        Raises:
            CalibrationError: If there are none.
        """
        self._drop()
        if not self._parts:
            raise CalibrationError("there is no training image to keep features of")
        kept = [(label, self._parts[label][0][1]) for label in sorted(self._parts)]
        labels = np.repeat([label for label, _ in kept], [len(rows) for _, rows in kept])
        return np.concatenate([rows for _, rows in kept]).astype(np.float64), labels

    def _drop(self) -> None:
        """Forget all but the rows of each class's smallest hashes."""
        for label, parts in self._parts.items():
            hashes = np.concatenate([part for part, _ in parts])
            rows = np.concatenate([part for _, part in parts])
            smallest, first = np.unique(hashes, return_index=True)
            first = first[: self._most]
            self._parts[label] = [(smallest[: self._most], rows[first])]
        self._waiting = 0


def _hash(row: NDArray[np.float32]) -> int:
    digest = hashlib.blake2b(row.tobytes(), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "little")
