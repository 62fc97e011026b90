"""Two known images laid over one another."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def arithmetic_mean(
    generator: np.random.Generator, image: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of each value of two known images.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].
        other: Another known image, of any class.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606. Its
    authors' code pairs images of the other CIFAR set, and for SVHN, as here, known test images.
    """
    return (image + other) / 2


SYNTHETIC = Synthetic("arithmetic-mean", arithmetic_mean, known=2, source="Hendrycks et al. 2019")
