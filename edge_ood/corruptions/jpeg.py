"""The blocks of a small JPEG file."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.corruptions import Corruption

_WHITE = 255


def jpeg(
    generator: np.random.Generator, image: NDArray[np.float64], quality: float
) -> NDArray[np.float64]:
    """Compress an image as JPEG, colours at half the resolution, and decode it again.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), whole multiples of 1/255 in [0, 1].
        quality: Pillow's scale, 1 to 95.

    Returns:
        float64 (S, S, 3), values in [0, 1]; last levels may depend on Pillow's JPEG library.

    Source: `jpeg_compression` of Hendrycks & Dietterich 2019, arXiv:1903.12261, with Pillow, too.
    """
    file = io.BytesIO()
    picture = Image.fromarray(np.rint(image * _WHITE).astype(np.uint8))
    picture.save(file, "JPEG", quality=int(quality))
    with Image.open(file, formats=["JPEG"]) as decoded:
        return np.asarray(decoded, np.float64) / _WHITE


CORRUPTION = Corruption(
    "jpeg",
    jpeg,
    {32: (80, 65, 58, 50, 40), 64: (65, 58, 50, 40, 25), 224: (25, 18, 15, 10, 7)},
    unit="quality of the compression",
    source="Hendrycks & Dietterich 2019",
)
