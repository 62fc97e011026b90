"""Two ID images multiplied."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def geometric_mean(
    generator: np.random.Generator, image: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The square root of the product of each value of two ID images: black where either is.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].
        other: Another ID image, of any class.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606. Its
    authors' code pairs images of the other CIFAR set, and for SVHN, as here, ID test images.
    """
    return np.sqrt(image * other)


SYNTHETIC = Synthetic("geometric-mean", geometric_mean, n_sources=2, source="Hendrycks et al. 2019")
