"""Copies: files of one content, which count once within a role, and never under two labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.files.paths import shown_path
from edge_ood.files.stored import AnyImage
from edge_ood.images.folders import ImageSet

__all__ = [
    "copies_note",
    "first_of_each",
    "labels_note",
    "refuse_trained_on",
    "shown_names",
    "two_labels",
]

_SHOWN = 5


def first_of_each(
    hashes: Sequence[str], labels: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Mask (N,) of the first file of each content.

    Args:
        hashes: Content hashes of the N files.
        labels: int64 (N,); with them the first of each content under each label.
    """
    keys = hashes if labels is None else list(zip(hashes, labels.tolist(), strict=True))
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    mask = np.zeros(len(keys), np.bool_)
    mask[list(first.values())] = True
    return mask


def two_labels(sets: Iterable[ImageSet]) -> dict[str, list[AnyImage]]:
    """By content, the files of images that have more than one label, in the order given.

    Args:
        sets: With hashes, and labels of the same classes; those without labels say nothing.
    """
    labels: dict[str, int] = {}
    found: dict[str, list[AnyImage]] = {}
    labelled = [images for images in sets if images.labels is not None]
    for images in labelled:
        assert images.labels is not None
        for digest, label in zip(images.hashes, images.labels.tolist(), strict=True):
            if labels.setdefault(digest, label) != label:
                found[digest] = []
    for images in labelled if found else ():
        for digest, path in zip(images.hashes, images.paths, strict=True):
            if digest in found:
                found[digest].append(path)
    return found


def refuse_trained_on(
    images: ImageSet, trained: Iterable[ImageSet], role: str, folder: Path | str
) -> None:
    """Refuse images of which some are training images, by content.

    Args:
        images: With hashes.
        trained: With hashes; their files need not be there any more.
        role: Of the images, such as `calibration`.
        folder: Where they come from.

    Raises:
        DataError: Naming the first of them, and which training images they are.
    """
    known: dict[str, AnyImage] = {}
    for each in trained:
        known = {**dict(zip(each.hashes, each.paths, strict=True)), **known}
    seen = [
        (path, known[digest])
        for path, digest in zip(images.paths, images.hashes, strict=True)
        if digest in known
    ]
    if seen:
        pairs = (
            f"'{shown_path(path)}'" + (f" is '{shown_path(other)}'" if path != other else "")
            for path, other in seen
        )
        raise DataError(
            f"{len(seen)} of {len(images)} {role} images are also training images:"
            f" {_first_few(list(pairs))}",
            hint=f"remove them from '{folder}'",
        )


def shown_names(paths: Sequence[AnyImage]) -> str:
    """The first of some files by name, and how many more there are."""
    return _first_few([f"'{shown_path(path)}'" for path in paths])


def _first_few(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def copies_note(
    paths: Sequence[AnyImage], counted: NDArray[np.bool_], role: str
) -> tuple[str, ...]:
    """What to say about copies that were left out, if there are any.

    Args:
        paths: N files.
        counted: Mask (N,) of those that are not left out.
        role: Of the images, such as `calibration`.
    """
    copies = len(paths) - int(counted.sum())
    if not copies:
        return ()
    first = shown_path(paths[int(counted.argmin())])
    return (
        f"left out, as copies among the {role} images: {copies} of {len(paths)},"
        f" the first is '{first}'",
    )


def labels_note(found: dict[str, list[AnyImage]], what: str) -> tuple[str, ...]:
    """What to say about images under two labels, if there are any.

    Args:
        found: As `two_labels` gives them.
        what: What becomes of them.
    """
    if not found:
        return ()
    files = next(iter(found.values()))
    above = [str(path).rpartition("/")[0] for path in files]
    one = next((p for p, a in zip(files, above, strict=True) if a != above[0]), files[1])
    return (
        f"{what}, as one image under two labels: {sum(map(len, found.values()))} files of"
        f" {len(found)} images, the first are '{shown_path(files[0])}' and '{shown_path(one)}'",
    )
