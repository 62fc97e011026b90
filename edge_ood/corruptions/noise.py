"""The noise of a sensor in little light."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import Corruption


def noise(
    generator: np.random.Generator, image: NDArray[np.float64], std: float
) -> NDArray[np.float64]:
    """Add to each value its own draw from N(0, std^2), and clip to [0, 1].

    Args:
        generator: What is drawn from.
        image: float64 (S, S, 3), values in [0, 1].
        std: Standard deviation in [0, 1] pixel units.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: `gaussian_noise` of Hendrycks & Dietterich 2019, arXiv:1903.12261. What was changed: an
    image gets the same draws at each strength, only longer; values are rounded to 8 bits and not
    down.
    """
    return np.clip(image + generator.normal(0, std, image.shape), 0, 1)


CORRUPTION = Corruption(
    "noise",
    noise,
    {
        32: (0.04, 0.06, 0.08, 0.09, 0.10),
        64: (0.04, 0.08, 0.12, 0.15, 0.18),
        224: (0.08, 0.12, 0.18, 0.26, 0.38),
    },
    unit="standard deviation of the noise in [0, 1] pixel units",
    source="Hendrycks & Dietterich 2019",
)
