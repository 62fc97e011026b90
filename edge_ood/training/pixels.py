"""Decoded images as rows of one array, in memory or in a file, and their channels, torch-free."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.decoding.memory import free_memory
from edge_ood.threads import slices

__all__ = ["Pixels", "channel_statistics", "pixel_array"]

_PIXELS_PER_CHUNK, _IMAGES_PER_CHUNK = 1 << 22, 1024
_SMALLEST_STD = 0.01
_DECIMALS = 4


@dataclass(frozen=True)
class Pixels:
    """The images of a split: some rows of an array, which is never copied as a whole.

    Attributes:
        array: uint8 (M, R, R, 3), perhaps a file that is larger than memory.
        rows: int64 (N,), the images in their order.
    """

    array: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies of some of the images."""
        return self.array[self.rows[chosen]]

    @property
    def nbytes(self) -> int:
        """How much memory all of the images would take."""
        return len(self) * int(np.prod(self.array.shape[1:]))

    def subset(self, mask: NDArray[np.bool_]) -> "Pixels":
        """The images that a mask (N,) selects, of the same array."""
        return replace(self, rows=self.rows[mask])


def pixel_array(images: int, size_px: int, scratch: Path) -> NDArray[np.uint8]:
    """An array uint8 (N, S, S, 3) to fill, in a file where it takes half of the free memory.

    Args:
        images: N.
        size_px: S.
        scratch: Folder of the file, which is unlinked from the beginning: nothing is left there.

    Raises:
        DataError: If the disk is too full for the file.
    """
    shape = (images, size_px, size_px, 3)
    nbytes = int(np.prod(shape))
    if nbytes <= free_memory() // 2:
        return np.empty(shape, np.uint8)
    path = scratch / f".pixels.{os.getpid()}.part"
    try:
        with path.open("w+b") as file:
            path.unlink()
            # Reserved now: writing to a hole on a full disk would kill the process (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, nbytes)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"cannot keep {nbytes >> 20} MiB of decoded images in '{scratch}': {error.strerror}",
            hint="free some space, or lower --image-size",
        ) from error


def channel_statistics(
    images: NDArray[np.uint8] | Pixels, part: slice = slice(None)
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each RGB channel, in units of [0, 1] pixel values.

    Args:
        images: uint8 (N, S, S, 3), N >= 1.
        part: Which rows and columns of each image count.

    Returns:
        Both rounded to 4 decimals, so that they read well; the deviation is at least 0.01.
    """
    counts = np.zeros((3, 256), np.int64)
    pixels = images[:1][..., 0].size
    for rows in slices(len(images), max(1, min(_PIXELS_PER_CHUNK // pixels, _IMAGES_PER_CHUNK))):
        chunk = images[rows][:, part, part]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    total = counts.sum(1)
    mean = counts @ levels / total
    variance = counts @ levels**2 / total - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), _SMALLEST_STD)
    red, green, blue = (round(float(value), _DECIMALS) for value in mean)
    red_std, green_std, blue_std = (round(float(value), _DECIMALS) for value in std)
    return (red, green, blue), (red_std, green_std, blue_std)
