"""Whether a network knows more images in one way than in another."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLEAR", "DEVIATIONS", "PROMISING", "is_better", "lead"]

DEVIATIONS = 2
"""Standard deviations by which one share of images has to exceed another to be called larger."""

PROMISING = 0.5
"""The same among the first images, below which more are not looked at."""

CLEAR = 3
"""The same, above which more images are not needed: looking often finds chance."""


def is_better(right: NDArray[np.bool_], than: NDArray[np.bool_]) -> bool:
    """McNemar's test on the same images, (N,): those that both know, or neither, say nothing."""
    return lead(right, than) > DEVIATIONS


def lead(right: NDArray[np.bool_], than: NDArray[np.bool_]) -> float:
    """Images gained less images lost, in standard deviations of a coin's; 0 where none differs."""
    gained, lost = int((right & ~than).sum()), int((than & ~right).sum())
    return float((gained - lost) / np.sqrt(max(1, gained + lost)))
