"""Images of one's own: every row has one colour."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.synthetic import Synthetic


def a_newcomer(generator: np.random.Generator, size_px: int) -> NDArray[np.float64]:
    """Draw the colour of each row from the uniform distribution.

    Args:
        generator: Of the colours.
        size_px: S.

    Returns:
        float64 (S, S, 3), values in [0, 1].

    Source: this project, to see that a file is enough.
    """
    return np.repeat(generator.random((size_px, 1, 3)), size_px, axis=1)


SYNTHETIC = Synthetic("a-newcomer", a_newcomer, source="this project")
