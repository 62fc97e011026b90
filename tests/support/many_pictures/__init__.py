"""Pictures of many sizes, formats and kinds, made of a few."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["many_pictures", "shorter_side"]

FORMATS: Sequence[tuple[str, dict[str, Any]]] = (
    ("png", {}),
    ("jpg", {"quality": 95, "subsampling": 0}),
    ("webp", {"lossless": True}),
    ("bmp", {}),
    ("jpg", {"quality": 90}),
)


def many_pictures(known: Sequence[Path], folder: Path, *, count: int = 50) -> list[Path]:
    """Wide, tall, small, large, grey and turned ones; every third shows nothing known."""
    generator = np.random.default_rng(5)
    found = []
    for number in range(count):
        width, height = (int(side) for side in generator.integers(5, 420, 2))
        with Image.open(known[number % len(known)]) as opened:
            image = opened.convert("RGB")
        if number % 3 == 0:
            image = Image.fromarray(generator.integers(0, 256, (5, 7, 3), np.uint8))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        ending, options = FORMATS[number % len(FORMATS)]
        if number % 10 == 0:
            image = image.convert("L")
        if number % 10 == 1:
            exif = Image.Exif()
            exif[0x0112] = 6
            options = {**options, "exif": exif}
        path = folder / f"{number:02}.{ending}"
        image.save(path, **options)
        found.append(path)
    return found


def shorter_side(path: Path) -> int:
    """In pixels."""
    with Image.open(path) as image:
        return min(image.size)
