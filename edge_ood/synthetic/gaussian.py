"""Normal noise around middle grey."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.registry import Positive
from edge_ood.synthetic import Synthetic

_MIDDLE_GREY = 0.5


def gaussian(
    generator: np.random.Generator, size_px: int, *, std: Positive = 1.0
) -> NDArray[np.float64]:
    """Every value of its own from N(0.5, std^2), clipped to [0, 1].

    Args:
        generator: What is drawn from.
        size_px: Side S of the image.
        std: Standard deviation before clipping; at 1, 62 % of all values are 0 or 1.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: std 1 is the noise of ODIN, Liang et al. 2018, arXiv:1706.02690, in its authors' code
    drawn and clipped in [0, 1] pixels before normalisation, as here. Outlier Exposure, Hendrycks et
    al. 2019, arXiv:1812.04606, draws N(0.5, 0.5^2) clipped to [0, 1] for its SVHN networks, which
    normalise nothing (std 0.5); to its CIFAR networks it feeds N(0, 0.5^2) clipped to [-1, 1] as
    if normalised already, in pixels about N(0.48, 0.12^2), which is not made here. What was
    changed: values are rounded to 8 bits.
    """
    return np.clip(generator.normal(_MIDDLE_GREY, std, (size_px, size_px, 3)), 0, 1)


SYNTHETIC = Synthetic("gaussian", gaussian, source="Liang et al. 2018, clipped N(0.5, 1)")
