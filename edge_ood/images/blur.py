"""Gaussian blur of pixel arrays, without SciPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["gaussian_blur"]

_TRUNCATE = 4
"""Standard deviations after which the kernel ends, as in SciPy and scikit-image."""


def gaussian_blur(
    image: NDArray[np.float64], sigma: float, *, axes: Sequence[int]
) -> NDArray[np.float64]:
    """Convolve an array with a Gaussian along some of its axes.

    Args:
        image: float64 of any shape; beyond its edges it goes on with the value at the edge.
        sigma: Standard deviation in pixels, > 0.
        axes: Along which to blur.

    Returns:
        An array of the same shape.

    Source: as `skimage.filters.gaussian`, which is `scipy.ndimage.gaussian_filter` with mode
    `nearest` and a kernel cut off at 4 standard deviations.
    """
    radius = int(_TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in axes:
        image = _convolved(image, kernel, axis)
    return image


def _convolved(
    image: NDArray[np.float64], kernel: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Shifted copies, weighted and summed: the memory of two images, whatever the kernel."""
    radius, length = len(kernel) // 2, image.shape[axis]
    result = np.zeros_like(image)
    for offset, weight in zip(range(-radius, radius + 1), kernel, strict=True):
        positions = np.clip(np.arange(length) + offset, 0, length - 1)
        result += weight * image.take(positions, axis=axis)
    return result
