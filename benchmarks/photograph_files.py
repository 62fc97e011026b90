"""Folders of photographs for benchmarks, cut from the two that scikit-learn ships."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Photographs:
    """A kind of file.

    Attributes:
        name: Of the folder.
        width: In pixels.
        height: In pixels.
        ending: `.jpg` or `.png`.
        count: Different files.
    """

    name: str
    width: int
    height: int
    ending: str
    count: int

    def below(self, cache: Path) -> list[Path]:
        """The files, written if they are not there yet."""
        folder = cache / self.name
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{index:04}{self.ending}" for index in range(self.count)]
        scenes = _scenes()
        for index, path in enumerate(paths):
            if not path.exists():
                self._picture(scenes[index % len(scenes)], index).save(path, quality=JPEG_QUALITY)
        return paths

    def _picture(self, scene: NDArray[np.uint8], seed: int) -> Image.Image:
        """A window of the scene at its own sharpness; where it is larger, mirrored tiles."""
        row = np.concatenate([scene, scene[:, ::-1]], axis=1)
        tile = np.concatenate([row, row[::-1]])
        repeats = (self.height // tile.shape[0] + 2, self.width // tile.shape[1] + 2, 1)
        generator = np.random.default_rng(seed)
        top, left = generator.integers(tile.shape[0]), generator.integers(tile.shape[1])
        window = np.tile(tile, repeats)[top : top + self.height, left : left + self.width]
        return Image.fromarray(np.ascontiguousarray(window))


FOLDERS = (
    Photographs("jpeg-512x384", 512, 384, ".jpg", 256),
    Photographs("jpeg-1920x1080", 1920, 1080, ".jpg", 96),
    Photographs("png-32x32", 32, 32, ".png", 1024),
)


def _scenes() -> list[NDArray[np.uint8]]:
    """A temple and a flower, 427 x 640 pixels each."""
    from sklearn.datasets import load_sample_images

    images: list[NDArray[np.uint8]] = load_sample_images().images
    return images
