"""What the headers of some images of a set say, without decoding one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_ood.files.regular import open_regular
from edge_ood.images.decoding.signatures import DECODED_FORMATS

__all__ = ["read_headers", "spread"]

_LOOKED_AT = 64


def spread(count: int) -> NDArray[np.int64]:
    """At most 64 indices (M,) of `count` images, evenly spread."""
    return np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(np.int64)


def read_headers(paths: Sequence[Path]) -> list[tuple[str, tuple[int, int]]]:
    """Format and (width, height) in pixels of some of the files; of those that have a header."""
    found = []
    for row in spread(len(paths)):
        path = paths[row]
        try:
            with open_regular(path) as file, Image.open(file, formats=DECODED_FORMATS) as image:
                found.append((image.format or "", image.size))
        except OSError:  # decoded a moment ago, and gone now
            continue
    return found
