"""The images of a folder, each decoded once and kept: in memory, in a file, or in a cache."""

import errno
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.preprocess import LARGEST_SIZE_PX, Preprocess
from edge_ood.images.reading import decode_stream
from edge_ood.training.cache import Cache, Decode, cached, shown_size
from edge_ood.training.pixels import pixel_array
from edge_ood.training.settings import RESIZED_CROP

__all__ = ["QUIET", "Reading", "Store", "read_store", "stored"]


@dataclass(frozen=True)
class Reading:
    """How the images of a run are read.

    Attributes:
        cache: Where decoded ones are kept; None keeps them in memory, or in a file that is gone
            with the process.
        skip_broken: Go on without images that cannot be decoded.
        on_image: Called with the number of images decoded so far and in total.
        on_note: Called with sentences that the user should read.
    """

    cache: Cache | None = None
    skip_broken: bool = False
    on_image: Callable[[int, int], None] = lambda done, total: None
    on_note: Callable[[str], None] = lambda note: None


QUIET = Reading()
"""Nothing is kept, nothing broken accepted, nothing said."""


@dataclass(frozen=True)
class Store:
    """The images of one folder.

    Attributes:
        array: uint8 (N, R, R, 3); rows of broken images are not to be looked at.
        hashes: Content hashes of the N files; empty for a broken one.
        broken: What is wrong with an image, by row.
    """

    array: NDArray[np.uint8]
    hashes: tuple[str, ...]
    broken: Mapping[int, str]


def stored(preprocess: Preprocess, augmentation: Collection[str]) -> Preprocess:
    """How images are decoded to be kept: larger than the network's input, if parts are cut out.

    With a crop share below 1 they are larger anyway; else by 256 over 224, as torchvision's and
    timm's evaluation has it.
    """
    if RESIZED_CROP not in augmentation or preprocess.crop < 1:
        return preprocess
    side = min(LARGEST_SIZE_PX, -(-preprocess.size_px * 256 // 224))
    return replace(preprocess, size_px=side)


def read_store(
    paths: Sequence[Path],
    preprocess: Preprocess,
    scratch: Path,
    reading: Reading,
    count: Callable[[int], None] = lambda images: None,
) -> Store:
    """All images of a folder, from the cache if they are there.

    Args:
        paths: N files, in a stable order.
        preprocess: Decode rules and the side R.
        scratch: Folder for an array that is too large for memory; nothing is left in it.
        reading: Where to keep them.
        count: Called with how many more images are there.

    Raises:
        DataError: If the disk is too full for them, or a cache that was chosen cannot be used.
    """
    broken: dict[int, str] = {}
    hashes = [""] * len(paths)

    def decode(array: NDArray[np.uint8], rows: Sequence[int]) -> tuple[str, ...]:
        stream = decode_stream([paths[row] for row in rows], preprocess)
        for row, decoded in zip(rows, stream, strict=True):
            if isinstance(decoded, DataError):
                broken[row] = str(decoded)
            else:
                array[row], hashes[row] = decoded.pixels, decoded.content_hash
            count(1)
        return tuple(hashes)

    everything = range(len(paths))
    kept = _kept(paths, preprocess, reading, lambda array: decode(array, everything))
    if kept is None:
        array = pixel_array(len(paths), preprocess.resized_px, scratch)
        return Store(array, decode(array, everything), broken)
    array, found = kept
    if not any(hashes) and not broken:  # nothing was decoded now
        hashes[:] = found
        count(len(paths) - found.count(""))
        # Permissions may have changed, which leaves the time of a file as it was.
        decode(array, [row for row in everything if not found[row]])
    return Store(array, tuple(hashes), broken)


def _kept(
    paths: Sequence[Path], preprocess: Preprocess, reading: Reading, decode: Decode
) -> tuple[NDArray[np.uint8], tuple[str, ...]] | None:
    """Images and hashes of a cache; None where they are not kept."""
    cache, nbytes = reading.cache, 3 * preprocess.resized_px**2 * len(paths)
    if cache is None or not paths or nbytes < cache.least_bytes:
        return None
    try:
        return cached(cache.folder, paths, preprocess, decode, reading.on_note)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # it is about what the callbacks print
        reason = (
            f"cannot keep {shown_size(nbytes)} of decoded images in '{cache.folder}':"
            f" {error.strerror or error}"
        )
        if cache.is_chosen:
            hint = "free some space there, or --cache with another folder, or --cache none"
            raise DataError(reason, hint=hint) from error
        reading.on_note(f"{reason}; they are not kept for later runs")
        return None
