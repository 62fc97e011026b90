"""Image files as arrays at network size, and what a file is known by: its content hash."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.files.paths import file_sha256
from edge_ood.files.stored import AnyImage
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.threads import ordered_map

__all__ = [
    "DecodedImage",
    "content_hash",
    "decode_all",
    "decode_each",
    "decode_stream",
    "with_hashes",
]


@dataclass(frozen=True)
class DecodedImage:
    """One image at network size, uint8 (S, S, 3), with the hash of its file."""

    pixels: NDArray[np.uint8]
    content_hash: str


def content_hash(payload: bytes) -> str:
    """Hexadecimal SHA-256 of a file's bytes: what splits and manifests know an image by."""
    return hashlib.sha256(payload).hexdigest()


def with_hashes(images: ImageSet) -> ImageSet:
    """The same images with the content hashes of their files, which are read if they have none.

    Raises:
        DataError: If a file cannot be read.
    """
    if images.hashes:
        return images
    return replace(images, hashes=tuple(ordered_map(_hash_file, images.paths)))


def decode_stream(
    paths: Iterable[AnyImage], preprocess: Preprocess, *, threads: int | None = None
) -> Iterator[DecodedImage | DataError]:
    """Decode files in threads, yielding in order; a bad file yields its error.

    Memory is bounded by the threads, not by the number of files.
    """
    yield from ordered_map(lambda path: _decode_or_error(path, preprocess), paths, threads=threads)


def decode_each(paths: Iterable[AnyImage], preprocess: Preprocess) -> Iterator[DecodedImage]:
    """As `decode_stream`, for files all of which must be readable.

    Raises:
        DataError: At the first file that cannot be decoded.
    """
    for decoded in decode_stream(paths, preprocess):
        if isinstance(decoded, DataError):
            raise decoded
        yield decoded


def decode_all(
    paths: Sequence[AnyImage],
    preprocess: Preprocess,
    *,
    out: NDArray[np.uint8] | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Decode all files into one array.

    Args:
        paths: N image files.
        preprocess: Decode rules and size S.
        out: Where to write, uint8 (N, S, S, 3), for example memory-mapped; made if None.
        on_image: Called after each image, to show progress.

    Returns:
        The array, and the N content hashes.

    Raises:
        DataError: At the first file that cannot be decoded.
    """
    size = preprocess.resized_px
    images = np.empty((len(paths), size, size, 3), np.uint8) if out is None else out
    hashes = []
    for row, decoded in enumerate(decode_each(paths, preprocess)):
        images[row] = decoded.pixels
        hashes.append(decoded.content_hash)
        on_image()
    return images, hashes


def _hash_file(path: AnyImage) -> str:
    try:
        if not isinstance(path, Path):
            return content_hash(path.read())
        return file_sha256(path)
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", hint="check the file") from error


def _decode_or_error(path: AnyImage, preprocess: Preprocess) -> DecodedImage | DataError:
    try:
        with image_payload(path) as payload:
            return DecodedImage(preprocess.decode(payload, f"'{path}'"), content_hash(payload))
    except DataError as error:
        return error
