"""Image sets as `splits.json` lists them: every file with its hash and its label; without torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_ood.files.document import Document
from edge_ood.images.folders import ImageSet

__all__ = ["broken_from_json", "broken_to_json", "images_from_json", "images_to_json"]


def images_to_json(images: ImageSet) -> dict[str, Any]:
    """A document of a root folder, and `[file below it, hash, label or null]` for every image."""
    root = os.path.commonpath([path.parent for path in images.files]) if images.files else ""
    labels = [None] * len(images) if images.labels is None else images.labels.tolist()
    files = [os.path.relpath(path, root) for path in images.files]
    rows = zip(files, images.hashes, labels, strict=True)
    return {"root": root, "images": [list(row) for row in rows]}


def images_from_json(document: Mapping[str, Any], classes: tuple[str, ...]) -> ImageSet:
    """Read and check what `images_to_json` wrote; raises what a damaged document provokes."""
    root = Path(_path(document["root"]))
    rows = [(_path(file), _hash(digest), label) for file, digest, label in document["images"]]
    labelled = [_label(label, len(classes)) for _, _, label in rows if label is not None]
    if len(labelled) not in (0, len(rows)):
        raise ValueError("some images of a split have a label and some have none")
    return ImageSet(
        tuple(root / file for file, _, _ in rows),
        np.array(labelled, np.int64) if labelled else None,
        classes,
        tuple(digest for _, digest, _ in rows),
    )


def broken_to_json(broken: Mapping[Path, str]) -> dict[str, str]:
    """A document of what is wrong with files, by their paths."""
    return {str(path): reason for path, reason in broken.items()}


def broken_from_json(document: Mapping[str, Any]) -> dict[Path, str]:
    """Read and check what `broken_to_json` wrote; raises what a damaged document provokes."""
    reasons = Document(document).mapped(str)
    return {Path(_path(file)): reason for file, reason in reasons.items()}


def _path(text: Any) -> str:
    # The file system may know bytes that are no text, but none of these.
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("a path of an image is none")
    os.fsencode(text)  # raises a ValueError where it could be no file's
    return text


def _hash(digits: Any) -> str:
    if not isinstance(digits, str) or bytes.fromhex(digits).hex() != digits:
        raise ValueError("a hash of an image is none")
    return digits


def _label(label: Any, classes: int) -> int:
    if type(label) is not int or not 0 <= label < classes:
        raise ValueError(f"a label is outside the {classes} classes")
    return label
