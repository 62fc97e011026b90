"""An ID image in a few large squares."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.synthetic import Synthetic

_SHARE_OF_SIDE = 0.2
_WHITE = 255


def pixelated(generator: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reduce an ID image to a fifth of its side, by means over boxes, and enlarge it again.

    Args:
        generator: Unused.
        image: float64 (S, S, 3), whole multiples of 1/255 in [0, 1].

    Returns:
        float64 (S, S, 3), values in [0, 1], in as many squares a side as go into a fifth of S.

    Source: a validation set of Outlier Exposure, Hendrycks et al. 2019, arXiv:1812.04606; filter
    and factor from its authors' code.
    """
    size = image.shape[0]
    small = max(1, int(size * _SHARE_OF_SIDE))
    picture = Image.fromarray(np.rint(image * _WHITE).astype(np.uint8))
    reduced = picture.resize((small, small), Image.Resampling.BOX)
    return np.asarray(reduced.resize((size, size), Image.Resampling.BOX), np.float64) / _WHITE


SYNTHETIC = Synthetic("pixelated", pixelated, n_sources=1, source="Hendrycks et al. 2019")
