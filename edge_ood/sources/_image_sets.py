"""Images of archives and stores as a set that is looked through more than once, with labels.

One pass over everything takes names, labels and content hashes. Later each image is read where it
lies: a member of a tar by itself, a row of a table with its row group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from edge_ood.errors import DataError, InputError
from edge_ood.files.stored import StoredImage
from edge_ood.images.class_names import check_distinct, class_positions
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.reading import content_hash
from edge_ood.sources._archive import ARCHIVES
from edge_ood.sources._locations import (
    archive_for,
    is_stored,
    locations,
    place_in_store,
    store_errors,
)
from edge_ood.sources._stored_images import StoredImages

__all__ = [
    "ImageSource",
    "image_source",
    "labelled_images",
    "labels_said",
    "perhaps_labelled_images",
]

ImageSource = Path | str
"""A folder, or, as text, a URL or pattern of archives."""

_GROUPS_HELD = 2
_FEWEST = 2


def image_source(name: object) -> ImageSource:
    """What an argument names."""
    text = str(name)
    return text if is_stored(text) else Path(text)


def labelled_images(source: ImageSource, classes: Sequence[str] = ()) -> ImageSet:
    """Images all of which have a class.

    Args:
        source: Where they are.
        classes: Class names by number, of which some may have no image; if there are none, those of
            the images, sorted, each of which has two at least.

    Raises:
        DataError: If that is not so, or an image cannot be read.
    """
    if isinstance(source, Path) and not classes:
        return read_class_folders(source)
    images = perhaps_labelled_images(source, classes)
    if images.labels is None:
        said = labels_said(source, images)
        strange = min(said - class_positions(said, classes).keys(), default="")
        if classes and strange:
            raise DataError(
                f"'{source}' has {strange!r}, which is not among the {len(classes)} class names",
                hint="arrange the images as DIR/<class>/<file>, with the names of --classes",
            )
        raise DataError(
            f"images of '{source}' lack labels, or have others than the classes",
            hint="folders or .cls members in a tar, a column 'label' in a table, PREFIX/<class>/",
        )
    counts = np.bincount(images.labels, minlength=len(images.classes))
    if len(counts) < _FEWEST or (not classes and counts.min() < _FEWEST):
        raise DataError(
            f"'{source}' has {len(counts)} class(es), the rarest with {counts.min()} image(s)",
            hint="two classes or more, of two images or more",
        )
    return images


def labels_said(source: ImageSource, images: ImageSet) -> set[str]:
    """Classes that images have by where they are, whether or not somebody named them."""
    said = {path.label for path in images.paths if isinstance(path, StoredImage)}
    below = [path.relative_to(source).parts for path in images.files]
    return {parts[0] for parts in below if len(parts) > 1} | said - {""}


def perhaps_labelled_images(
    source: ImageSource, classes: Sequence[str] = (), *, to_derive: bool = True
) -> ImageSet:
    """Images, with labels where every one of them has a class.

    Args:
        source: Where they are.
        classes: Class names by number.
        to_derive: Take the images' own, sorted, where no class names are given.

    Raises:
        DataError: If an image cannot be read.
    """
    if isinstance(source, Path):
        return read_images(source, classes)
    found = list(_indexed(source))
    images = ImageSet(tuple(image for image, _ in found), hashes=tuple(h for _, h in found))
    said = [image.label for image, _ in found]
    if not all(said):
        return images
    own = tuple(sorted(set(said), key=_number_first)) if to_derive else ()
    names = tuple(classes) or own
    check_distinct(list(own), Path(source))
    positions = class_positions(set(said), names)
    if not set(said) <= positions.keys():
        positions = {text: int(text) for text in set(said) if text.isdecimal()}
        if not set(said) <= positions.keys() or max(positions.values()) >= len(names):
            return images
    labels = np.array([positions[text] for text in said], np.int64)
    return replace(images, labels=labels, classes=names)


def _number_first(text: str) -> tuple[bool, int, str]:
    """Numbers by their value, before other names."""
    return not text.isdecimal(), int(text) if text.isdecimal() else 0, text


def _indexed(source: str) -> Iterator[tuple[StoredImage, str]]:
    """Each image, to be read again, and its content hash."""
    archive = archive_for(source)
    if archive is not None and archive.again is None:
        raise InputError(f"'{source}' has no labels", hint="images, a tar or a table with images")
    prefixes = [location.shown for location in locations(source)] if archive is None else []
    for image in StoredImages([source]):
        try:
            digest = content_hash(image.read())
        except OSError as error:
            raise DataError(f"cannot read '{image}': {error}", hint="check the path") from error
        if archive is None:
            yield replace(image, label=_folder(image.name, prefixes)), digest
            continue
        again = partial(_again, image.archive, archive.name, image.position)
        yield replace(image, read=again, archive=""), digest


def _folder(name: str, prefixes: Sequence[str]) -> str:
    """The folder right below the prefix."""
    below = next(name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix))
    folder, slash, _ = below.lstrip("/").partition("/")
    return folder if slash else ""


def _again(shown: str, kind: str, position: tuple[int, int]) -> bytes:
    place, index = position
    return _read_together(shown, kind, place)[index]


@lru_cache(maxsize=_GROUPS_HELD)
def _read_together(shown: str, kind: str, place: int) -> list[bytes]:
    archive = ARCHIVES.get(kind)
    with store_errors(shown), place_in_store(shown).opened(seeks=True) as file:
        return list(archive.again(file, place))
