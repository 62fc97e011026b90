"""An ID image with its colours exchanged, one of them mirrored."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def rgb_ghosted(generator: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take green, mirrored left to right, for red, blue for green, and red for blue.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606, from its
    authors' code.
    """
    red, green, blue = np.moveaxis(image, -1, 0)
    return np.stack([green[:, ::-1], blue, red], axis=-1)


SYNTHETIC = Synthetic("rgb-ghosted", rgb_ghosted, n_sources=1, source="Hendrycks et al. 2019")
