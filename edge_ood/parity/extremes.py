"""Images at the ends of what pixels can be, which no photograph reaches."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["extremes"]

_NOISE_IMAGES = 8
"""One alone may be rounded by chance much less in one float32 program than in another."""


def extremes(size_px: int) -> dict[str, NDArray[np.uint8]]:
    """Black, white and noise, uint8 (S, S, 3), by name."""
    shape = (size_px, size_px, 3)
    noise = np.random.RandomState(0).randint(0, 256, (_NOISE_IMAGES, *shape)).astype(np.uint8)
    return {
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        **{f"noise {number}": image for number, image in enumerate(noise, start=1)},
    }
