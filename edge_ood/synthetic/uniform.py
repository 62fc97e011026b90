"""Noise in which all values are equally likely."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def uniform(generator: np.random.Generator, size_px: int) -> NDArray[np.float64]:
    """Every value of its own from U[0, 1].

    Args:
        generator: What is drawn from.
        size_px: Side S of the image.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: ODIN, Liang et al. 2018, arXiv:1706.02690, in its authors' code drawn in [0, 1] pixels
    before normalisation, as here. Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606,
    validates on it: U[0, 1] for SVHN networks, U[-1, 1] as if normalised already for CIFAR ones.
    What was changed: values are rounded to 8 bits.
    """
    return generator.uniform(size=(size_px, size_px, 3))


SYNTHETIC = Synthetic("uniform", uniform, source="Liang et al. 2018, U[0, 1]")
