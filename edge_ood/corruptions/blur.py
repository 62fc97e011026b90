"""An image out of focus."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import Corruption
from edge_ood.images.blur import gaussian_blur


def blur(
    generator: np.random.Generator, image: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """Blur each colour with a Gaussian.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].
        sigma: Standard deviation in pixels.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: `gaussian_blur` of Hendrycks & Dietterich 2019, arXiv:1903.12261. What was changed: the
    blur grows with the side between the published sizes and beyond; values are rounded to 8 bits
    and not down.
    """
    return np.clip(gaussian_blur(image, sigma, axes=(0, 1)), 0, 1)


CORRUPTION = Corruption(
    "blur",
    blur,
    {
        32: (0.4, 0.6, 0.7, 0.8, 1.0),
        64: (0.5, 0.75, 1.0, 1.25, 1.5),
        224: (1.0, 2.0, 3.0, 4.0, 6.0),
    },
    unit="standard deviation of the Gaussian in pixels",
    source="Hendrycks & Dietterich 2019",
    is_length=True,
)
