"""Damage of one's own: an image behind fog."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import Corruption


def a_newcomer(
    generator: np.random.Generator, image: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Mix the image with white.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].
        share: Of white, in [0, 1].

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: this project, to see that a file is enough.
    """
    return (1 - share) * image + share


CORRUPTION = Corruption(
    "a-newcomer",
    a_newcomer,
    {32: (0.1, 0.2, 0.3, 0.4, 0.5)},
    unit="share of white",
    source="this project",
)
