"""What a network said of images, so that it is asked only once."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from edge_ood.foreign.conventions import Convention, ForeignNetwork

__all__ = ["Remembered"]


class Remembered(ForeignNetwork):
    """A network that is not run twice on the same pixels in the same way.

    Args:
        network: What says something of images it has not seen.
    """

    def __init__(self, network: ForeignNetwork) -> None:
        self._network = network
        self._rows: dict[tuple[Convention, bytes], NDArray[np.float64]] = {}

    def __call__(self, pixels: NDArray[np.uint8], convention: Convention) -> NDArray[np.float64]:
        """Rows (N, K) of uint8 images (N, S, S, 3).

        Raises:
            ArtifactError: If it cannot run.
        """
        keys = [(convention, hashlib.sha256(p.tobytes()).digest()) for p in pixels]
        new = [number for number, key in enumerate(keys) if key not in self._rows]
        if new:
            rows = self._network(pixels[new], convention)
            self._rows.update((keys[number], row) for number, row in zip(new, rows, strict=True))
        return np.stack([self._rows[key] for key in keys])
