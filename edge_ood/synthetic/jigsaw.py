"""An ID image with its quarters in other places."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def jigsaw(generator: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rearrange the quarters of an ID image.

    The upper left quarter stays, its upper and lower halves exchanged. The lower left quarter
    moves to the upper right, the lower right to the lower left, and the upper right to the lower
    right, its left and right halves exchanged. Where a side cannot be halved, its middle or last
    line stays in place.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606, as its
    authors' code cuts images of 32 and 64 px. What was changed: any side.
    """
    half = len(image) // 2
    first, second = slice(half), slice(half, 2 * half)
    moved = image.copy()
    moved[first, first] = _halves_exchanged(image[first, first])
    moved[first, second] = image[second, first]
    moved[second, first] = image[second, second]
    upper_right = image[first, second].swapaxes(0, 1)
    moved[second, second] = _halves_exchanged(upper_right).swapaxes(0, 1)
    return moved


def _halves_exchanged(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper and lower half of some rows exchanged; the middle one of an odd number stays."""
    half = len(rows) // 2
    return np.concatenate([rows[len(rows) - half :], rows[half : len(rows) - half], rows[:half]])


SYNTHETIC = Synthetic("jigsaw", jigsaw, n_sources=1, source="Hendrycks et al. 2019")
