"""Images in a terminal, as coloured half blocks."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_ood.cli._say import may_colour

__all__ = ["side_by_side"]

_SIDE = 24
_UPPER_HALF = "\N{UPPER HALF BLOCK}"
_RESET = "\x1b[0m"


def side_by_side(paths: Sequence[Path]) -> str:
    """Twelve lines with the images next to each other; empty where they cannot be shown.

    They can on a terminal that says so, by COLORTERM, and where NO_COLOR is not set.

    Args:
        paths: Images that Pillow reads.
    """
    if os.environ.get("COLORTERM") not in ("truecolor", "24bit") or not may_colour(sys.stdout):
        return ""
    import numpy as np
    from PIL import Image

    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pictures.append(np.asarray(image.convert("RGB").resize((_SIDE, _SIDE))))
    lines = []
    for row in range(0, _SIDE, 2):
        parts = [
            "".join(map(_block, picture[row].tolist(), picture[row + 1].tolist()))
            for picture in pictures
        ]
        lines.append(f"{_RESET}   ".join(parts) + _RESET)
    return "\n".join(lines)


def _block(upper: Sequence[int], lower: Sequence[int]) -> str:
    """Two pixels, one above the other."""
    above, below = (";".join(map(str, pixel)) for pixel in (upper, lower))
    return f"\x1b[38;2;{above}m\x1b[48;2;{below}m{_UPPER_HALF}"
