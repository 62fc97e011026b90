"""An order of the training images in which each class is drawn equally often; without torch."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BalancedOrder"]


class BalancedOrder:
    """Turns of a run: turn t is one of class `t mod K`, whose images come in shuffled rounds.

    An epoch has as many turns as there are images, so over any of them two classes differ by one.
    A small class repeats its images within an epoch; a large one shows the others in later epochs.

    Args:
        labels: int64 (N,), each of K classes at least once.
        draw: Seed and purpose of the rounds' order.
    """

    def __init__(self, labels: NDArray[np.int64], draw: tuple[int, ...]) -> None:
        counts = np.bincount(labels)
        self._members = np.split(labels.argsort(kind="stable"), counts.cumsum()[:-1])
        self._draw, self._size = draw, len(labels)
        self._epoch, self._rows = -1, labels[:0]

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The images (N,) of an epoch's turns."""
        if epoch != self._epoch:
            first, classes = epoch * self._size, len(self._members)
            rows = np.empty(self._size, np.int64)
            for label in range(classes):
                turns = slice((label - first) % classes, None, classes)
                numbers = (first + np.arange(self._size)[turns]) // classes
                if len(numbers):
                    rows[turns] = self._images(label, int(numbers[0]), len(numbers))
            self._epoch, self._rows = epoch, rows
        return self._rows

    def _images(self, label: int, first: int, count: int) -> NDArray[np.int64]:
        """As many images of a class from its `first` on, in its endless shuffled rounds."""
        members = self._members[label]
        turn, place = divmod(first, len(members))
        rounds = range(turn, (first + count - 1) // len(members) + 1)
        shuffled = [
            np.random.default_rng((*self._draw, label, number)).permutation(members)
            for number in rounds
        ]
        return np.concatenate(shuffled)[place : place + count]
