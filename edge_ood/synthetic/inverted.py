"""An ID image with two of its colours inverted."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def inverted(generator: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take 1 minus the green and the blue of an ID image, and its red as it is.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606, from its
    authors' code, which leaves red alone so that fewer images look natural.
    """
    red, green, blue = np.moveaxis(image, -1, 0)
    return np.stack([red, 1 - green, 1 - blue], axis=-1)


SYNTHETIC = Synthetic("inverted", inverted, n_sources=1, source="Hendrycks et al. 2019")
