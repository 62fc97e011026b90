"""An image exposed for too long."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.corruptions import Corruption


def brightness(
    generator: np.random.Generator, image: NDArray[np.float64], added: float
) -> NDArray[np.float64]:
    """Raise the value of each pixel in HSV, at most to 1, its hue and saturation as they are.

    The value is the largest of the three colours. With hue and saturation kept all three grow by
    the same factor, and black, which has neither, becomes grey.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), values in [0, 1].
        added: To the value.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: `brightness` of Hendrycks & Dietterich 2019, arXiv:1903.12261. What was changed: no
    conversion to HSV and back; values are rounded to 8 bits and not down.
    """
    value = image.max(axis=-1, keepdims=True)
    raised = np.minimum(value + added, 1)
    is_black = value == 0
    factor: NDArray[np.float64] = raised / np.where(is_black, 1, value)
    return np.where(is_black, raised, image * factor)


CORRUPTION = Corruption(
    "brightness",
    brightness,
    {32: (0.05, 0.1, 0.15, 0.2, 0.3), 64: (0.1, 0.2, 0.3, 0.4, 0.5)},
    unit="rise of the value in HSV, which goes from 0 to 1",
    source="Hendrycks & Dietterich 2019",
)
