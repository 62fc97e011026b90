"""Images on disk: what folders hold, in a stable order, and the classes they are named after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.files.paths import is_file, is_folder
from edge_ood.files.stored import AnyImage
from edge_ood.files.text import valid_text
from edge_ood.files.walk import walk
from edge_ood.images.class_names import check_distinct, match_folders
from edge_ood.images.levels import check_class_folders, level_below

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageSet",
    "find_images",
    "read_class_folders",
    "read_images",
]

IMAGE_SUFFIXES = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
_LOOKED_FOR = "looked for " + " ".join(IMAGE_SUFFIXES)
# Taken, too, although decoding refuses them: photographs must not be overlooked in silence.
_TAKEN = (*IMAGE_SUFFIXES, ".avif", ".heic", ".heif", ".jxl")


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels.

    Attributes:
        paths: N files, or images of archives and stores, in a stable order.
        labels: int64 (N,), indices into `classes`; None where the images have no labels.
        classes: K class names, sorted.
        hashes: Content hashes of the N files where they are known, else empty.
    """

    paths: tuple[AnyImage, ...]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths, where all of them are files of this machine."""
        return tuple(path for path in self.paths if isinstance(path, Path))

    def subset(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "ImageSet":
        """The images that a mask (N,) or an index array selects, classes unchanged."""
        index = np.arange(len(self.paths))[chosen]
        labels = None if self.labels is None else self.labels[index]
        hashes = tuple(self.hashes[i] for i in index) if self.hashes else ()
        return ImageSet(tuple(self.paths[i] for i in index), labels, self.classes, hashes)


def _check_folder(root: Path) -> None:
    if is_folder(root):
        return
    if is_file(root):
        is_model = root.suffix.lower() == ".onnx"
        raise DataError(
            f"'{root}' is a file, expected a folder of images",
            hint="are two arguments swapped?" if is_model else "name the folder that it is in",
        )
    raise DataError(f"no folder '{root}'", hint="check the path")


def find_images(root: Path) -> list[Path]:
    """All image files below a folder, by suffix, in sorted order; see `edge_ood.files.walk`.

    Raises:
        DataError: If the folder is missing, holds no image or a folder that cannot be entered.
    """
    _check_folder(root)
    files = walk(root, leave_out=lambda path: path.name.startswith("."), on_closed=_refuse)
    found = sorted(path for path in files if path.name.lower().endswith(_TAKEN))
    if not found:
        raise DataError(f"no images under '{root}' ({_LOOKED_FOR})", hint="check the path")
    return found


def read_class_folders(root: Path) -> ImageSet:
    """Read `root/<class>/*` as a labelled image set.

    Raises:
        DataError: If there are fewer than two classes, a class has fewer than two images or a name
            that is no text or looks like another's, an image has no class, or the folders are no
            classes; see `check_class_folders`.
    """
    paths = find_images(root)
    stray = next((path for path in paths if path.parent == root), None)
    if stray is not None:
        raise DataError(
            f"'{stray}' lies beside the class folders and has no class",
            hint=f"move it into a class folder, or out of '{root}'",
        )
    check_class_folders(root, paths)
    classes = _class_names(root)
    if len(classes) < 2:
        raise DataError(
            f"'{root}' holds {len(classes)} class folder(s), expected at least 2",
            hint=level_below(root, paths) or "arrange the images as DATA/<class>/<file>",
        )
    return _labelled(root, paths, classes, match_folders(classes, classes, root), fewest=2)


def read_images(root: Path, classes: Sequence[str] = ()) -> ImageSet:
    """Read all images below a folder, labelled where its folders are named after `classes`.

    The labels are None unless every image lies below a folder that bears a class name, in any
    Unicode form.

    Raises:
        DataError: If the folder is missing or holds no image, or a folder's name differs from a
            class in case or blanks alone.
    """
    paths = find_images(root)
    tops = {p.relative_to(root).parts[0] for p in paths if p.parent != root}
    positions = match_folders(tops, classes, root)
    is_flat = any(p.parent == root for p in paths)
    if is_flat or not tops <= positions.keys():
        return ImageSet(tuple(paths))
    return _labelled(root, paths, classes, positions, fewest=0)


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
    check_distinct(names, root)
    return names


def _labelled(
    root: Path,
    paths: list[Path],
    classes: Sequence[str],
    positions: Mapping[str, int],
    *,
    fewest: int,
) -> ImageSet:
    labels = np.array([positions[p.relative_to(root).parts[0]] for p in paths], np.int64)
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < fewest:
        rare = classes[int(counts.argmin())]
        images = "1 image" if counts.min() == 1 else f"{counts.min()} images"
        raise DataError(
            f"class {rare!r} has {images}, expected at least {fewest}",
            hint="one to train on and one to calibrate with; add images or remove the folder",
        )
    return ImageSet(tuple(paths), labels, tuple(classes))
