"""Noise of the two extreme values."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def rademacher(generator: np.random.Generator, size_px: int) -> NDArray[np.float64]:
    """Every value of its own 0 or 1, each with probability 1/2.

    Args:
        generator: What is drawn from.
        size_px: Side S of the image.

    Returns:
        float64 (S, S, 3), each value 0 or 1: pixels of eight pure colours.

    Source: Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606. In its authors' code CIFAR
    networks get -1 and 1 as if normalised already. What was changed: -1 and 1 became the ends of
    the pixel range, 0 and 1, as that code itself has it for SVHN networks, which normalise nothing.
    """
    return generator.integers(0, 2, (size_px, size_px, 3)).astype(np.float64)


SYNTHETIC = Synthetic("rademacher", rademacher, source="Hendrycks et al. 2019, in [0, 1]")
