"""Bright blobs without a form on black."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.images.blur import gaussian_blur
from edge_ood.synthetic import Synthetic

_WHITE = 0.7
_CUT = 0.75
_FINE_SIGMA_PX, _WIDE_SIGMA_PX = 1.5, 2.0
_WIDE_FROM_PX = 64


def blobs(generator: np.random.Generator, size_px: int) -> NDArray[np.float64]:
    """Black and white noise, blurred in all three directions and black below a cut.

    Values are 1 with probability 0.7, else 0; the Gaussian blur, 1.5 px below a side of 64 px and
    2 px from there on, runs along rows, columns and colours; what is below 0.75 then becomes 0.

    Args:
        generator: What is drawn from.
        size_px: Side S of the image.

    Returns:
        float64 (S, S, 3), each value 0 or in [0.75, 1].

    Source: Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606, constants from its authors'
    code for 32 and for 64 px. What was changed: CIFAR networks get twice the values minus 1 as if
    normalised already; here the values are pixels, as they are in that code for SVHN networks.
    The blur grows no further with the side, or hardly anything would be left above the cut.
    """
    noise = (generator.random((size_px, size_px, 3)) < _WHITE).astype(np.float64)
    sigma = _FINE_SIGMA_PX if size_px < _WIDE_FROM_PX else _WIDE_SIGMA_PX
    blurred = gaussian_blur(noise, sigma, axes=(0, 1, 2))
    return np.where(blurred < _CUT, 0.0, blurred)


SYNTHETIC = Synthetic("blobs", blobs, source="Hendrycks et al. 2019, in [0, 1]")
