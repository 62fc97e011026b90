"""An ID image under noise that grows with its brightness."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.registry import Positive
from edge_ood.synthetic import Synthetic


def speckled(
    generator: np.random.Generator, image: NDArray[np.float64], *, std: Positive = 1.0
) -> NDArray[np.float64]:
    """Multiply each value by its own draw from N(1, std^2), and clip to [0, 1].

    Args:
        generator: What is drawn from.
        image: float64 (S, S, 3), values in [0, 1].
        std: Standard deviation of the factor.

    Returns:
        float64 (S, S, 3), values in [0, 1]; black stays black.

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606; std 1
    from its authors' code.
    """
    return np.clip(image + image * generator.normal(0, std, image.shape), 0, 1)


SYNTHETIC = Synthetic("speckled", speckled, n_sources=1, source="Hendrycks et al. 2019")
