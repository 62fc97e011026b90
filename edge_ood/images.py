"""Images on disk: class folders, stable order, splits, content hashes and threaded decoding."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ood.decoding.image_file import read_image_file
from edge_ood.errors import DataError
from edge_ood.paths import is_folder
from edge_ood.preprocess import Preprocess
from edge_ood.text import valid_text
from edge_ood.walk import walk

__all__ = [
    "IMAGE_SUFFIXES",
    "DecodedImage",
    "ImageSet",
    "available_cores",
    "content_hash",
    "decode_all",
    "decode_stream",
    "find_images",
    "halves_by_hash",
    "ordered_map",
    "read_class_folders",
    "read_images",
    "stratified_split",
    "with_hashes",
]

IMAGE_SUFFIXES = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
_LOOKED_FOR = "looked for " + " ".join(IMAGE_SUFFIXES)
# Taken, too, although decoding refuses them: photographs must not be overlooked in silence.
_TAKEN = (*IMAGE_SUFFIXES, ".avif", ".heic", ".heif", ".jxl")
_AHEAD_PER_THREAD = 16

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ImageSet:
    """Image files with their labels.

    Attributes:
        paths: N files, in a stable order.
        labels: int64 (N,), indices into `classes`; None where the images have no labels.
        classes: K class names, sorted.
        hashes: Content hashes of the N files where they are known, else empty.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "ImageSet":
        """The images that a mask (N,) or an index array selects, classes unchanged."""
        index = np.arange(len(self.paths))[chosen]
        labels = None if self.labels is None else self.labels[index]
        hashes = tuple(self.hashes[i] for i in index) if self.hashes else ()
        return ImageSet(tuple(self.paths[i] for i in index), labels, self.classes, hashes)


@dataclass(frozen=True)
class DecodedImage:
    """One image at network size, uint8 (S, S, 3), with the hash of its file."""

    pixels: NDArray[np.uint8]
    content_hash: str


def content_hash(payload: bytes) -> str:
    """Hexadecimal SHA-256 of a file's bytes: what splits and manifests know an image by."""
    return hashlib.sha256(payload).hexdigest()


def find_images(root: Path) -> list[Path]:
    """All image files below a folder, by suffix, in sorted order; see `edge_ood.walk`.

    Raises:
        DataError: If the folder is missing, holds no image or a folder that cannot be entered.
    """
    if not is_folder(root):
        raise DataError(f"no folder '{root}'", hint="check the path")
    files = walk(root, leave_out=lambda path: path.name.startswith("."), on_closed=_refuse)
    found = sorted(path for path in files if path.name.lower().endswith(_TAKEN))
    if not found:
        raise DataError(f"no images under '{root}' ({_LOOKED_FOR})", hint="check the path")
    return found


def read_class_folders(root: Path) -> ImageSet:
    """Read `root/<class>/*` as a labelled image set.

    Raises:
        DataError: If there are fewer than two classes, a class has fewer than two images or a name
            that is no text, or an image has no class.
    """
    paths = find_images(root)
    stray = next((path for path in paths if path.parent == root), None)
    if stray is not None:
        raise DataError(
            f"'{stray}' lies beside the class folders and has no class",
            hint=f"move it into a class folder, or out of '{root}'",
        )
    classes = _class_names(root)
    if len(classes) < 2:
        raise DataError(
            f"'{root}' holds {len(classes)} class folder(s), expected at least 2",
            hint="arrange the images as DATA/<class>/<file>",
        )
    return _labelled(root, paths, classes, fewest=2)


def read_images(root: Path, classes: Sequence[str] = ()) -> ImageSet:
    """Read all images below a folder, labelled where its folders are named after `classes`.

    The labels are None unless every image lies below a folder that bears a class name.

    Raises:
        DataError: If the folder is missing or holds no image.
    """
    paths = find_images(root)
    tops = {p.relative_to(root).parts[0] if p.parent != root else "" for p in paths}
    if classes and tops <= set(classes):
        return _labelled(root, paths, classes, fewest=0)
    return ImageSet(tuple(paths))


def stratified_split(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mask (N,) of a stratified sample: the same fraction of every class, and at least one image.

    Args:
        labels: Class indices (N,).
        fraction: Share to take from each class, in (0, 1); rounded to whole images.
        seed: The draw is a function of seed, class and N alone.
    """
    taken = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * len(members)))
        taken[np.random.default_rng([seed, int(label)]).permutation(members)[:count]] = True
    return taken


def halves_by_hash(hashes: Sequence[str]) -> NDArray[np.bool_]:
    """Mask (N,) of one half of the images, decided by their content hashes alone.

    Copies of one image are in the same half.
    """
    _, ranks = np.unique(np.asarray(hashes), return_inverse=True)
    half: NDArray[np.bool_] = ranks % 2 == 0
    return half


def with_hashes(images: ImageSet) -> ImageSet:
    """The same images with the content hashes of their files, which are read if they have none.

    Raises:
        DataError: If a file cannot be read.
    """
    if images.hashes:
        return images
    return replace(images, hashes=tuple(ordered_map(_hash_file, images.paths)))


def decode_stream(
    paths: Iterable[Path], preprocess: Preprocess, *, threads: int | None = None
) -> Iterator[DecodedImage | DataError]:
    """Decode files in threads, yielding in order; a bad file yields its error.

    Memory is bounded by the threads, not by the number of files.
    """
    yield from ordered_map(lambda path: _decode_or_error(path, preprocess), paths, threads=threads)


def decode_all(
    paths: Sequence[Path],
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
    size = preprocess.size_px
    images = np.empty((len(paths), size, size, 3), np.uint8) if out is None else out
    hashes = []
    for row, decoded in enumerate(decode_stream(paths, preprocess)):
        if isinstance(decoded, DataError):
            raise decoded
        images[row] = decoded.pixels
        hashes.append(decoded.content_hash)
        on_image()
    return images, hashes


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int | None = None,
    ahead: int = _AHEAD_PER_THREAD,
) -> Iterator[R]:
    """Map in threads, in order, with at most `ahead` items per thread under way."""
    workers = threads or available_cores()
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque(
            pool.submit(function, item) for item in islice(remaining, ahead * workers)
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _refuse(folder: Path, error: OSError) -> None:
    raise DataError(
        f"cannot read the folder '{folder}': {error.strerror or error}",
        hint="check its permissions, or move it elsewhere",
    ) from error


def _class_names(root: Path) -> list[str]:
    """The folders in a folder, sorted, without hidden ones."""
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    for name in names:
        if valid_text(name) != name:
            raise DataError(
                f"the class folder '{root / name}' has a name that is not UTF-8",
                hint="rename it: class names are stored as text",
            )
    return names


def _labelled(root: Path, paths: list[Path], classes: Sequence[str], *, fewest: int) -> ImageSet:
    index = {name: i for i, name in enumerate(classes)}
    labels = np.array([index[p.relative_to(root).parts[0]] for p in paths], np.int64)
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < fewest:
        rare = classes[int(counts.argmin())]
        images = "1 image" if counts.min() == 1 else f"{counts.min()} images"
        raise DataError(
            f"class {rare!r} has {images}, expected at least {fewest}",
            hint="one to train on and one to calibrate with; add images or remove the folder",
        )
    return ImageSet(tuple(paths), labels, tuple(classes))


def _hash_file(path: Path) -> str:
    try:
        return content_hash(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", hint="check the file") from error


def _decode_or_error(path: Path, preprocess: Preprocess) -> DecodedImage | DataError:
    try:
        payload = read_image_file(path)
        return DecodedImage(preprocess.decode(payload, f"'{path}'"), content_hash(payload))
    except DataError as error:
        return error
