"""The images that come with somebody else's classifier: which of them may decide what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_ood.errors import DataError
from edge_ood.files.regular import read_regular
from edge_ood.files.stored import StoredImage
from edge_ood.files.text_file import text_lines
from edge_ood.images.class_names import class_positions, same_form
from edge_ood.images.copies import (
    copies_note,
    first_of_each,
    labels_note,
    refuse_trained_on,
    two_labels,
)
from edge_ood.images.folders import ImageSet, find_images, read_images
from edge_ood.images.levels import check_class_folders
from edge_ood.images.reading import with_hashes
from edge_ood.images.splits import halves_by_hash
from edge_ood.images.thumbnails import thumbnails_note
from edge_ood.sources import ImageSource, labelled_images, perhaps_labelled_images

__all__ = ["IdFolders", "IdImages", "read_id_images"]

_FEWEST_CLASSES = 2
_LARGEST_LIST = 1 << 24


@dataclass(frozen=True)
class IdFolders:
    """Where the images are.

    Attributes:
        calibration: ID images, none trained on; `<class>/<file>` if their labels are of use.
        training: The training images, `<class>/<file>`, or None.
        classes: A file with one class name a line, in the order of the outputs, or None.
    """

    calibration: ImageSource
    training: ImageSource | None = None
    classes: Path | None = None


@dataclass(frozen=True)
class IdImages:
    """Images by what they decide.

    Attributes:
        classes: Class names in the order of the outputs; empty if nothing tells them.
        deciding: They fit statistics, and choose what is to be chosen.
        calibration: They set thresholds and p-values.
        role: What `deciding` are: `training` images; `statistics`, one half of the calibration
            images, by hash, which is given back where nothing is fitted or chosen by them; or
            `calibration`, where no labels let them decide anything.
        notes: What the user should know, one sentence each.
    """

    classes: tuple[str, ...]
    deciding: ImageSet
    calibration: ImageSet
    role: str
    notes: tuple[str, ...] = ()

    @property
    def held_back(self) -> ImageSet:
        """Those of `deciding` that set thresholds, too, where nothing is decided by them."""
        return self.deciding if self.role == "statistics" else ImageSet(())


def read_id_images(folders: IdFolders, own: Sequence[str] = ()) -> IdImages:
    """Find images, labels and class names, and check that no image plays two roles.

    Copies count once. Calibration images under two labels are left out: their labels would fit
    statistics and choose how the network is fed. Training images under two labels stay, since the
    network has learnt from both, and none of them may be tested on; they are named.

    Args:
        folders: Where the images, and perhaps a list of class names, are.
        own: Class names that the classifier's file has in it; they count where there is no list,
            and class folders bear none but these names.

    Raises:
        DataError: If a folder or a file is unusable, or calibration images were trained on.
    """
    names = _names(folders, own)
    if folders.training is not None:
        training = with_hashes(_labelled(folders.training, names))
        calibration = perhaps_labelled_images(folders.calibration, training.classes)
        calibration = with_hashes(replace(calibration, classes=training.classes))
        refuse_trained_on(calibration, [training], "calibration", folders.calibration)
        training, of_training = _once(training, "training")
        calibration, of_calibration = _once(calibration, "calibration")
        notes = (*of_training, *of_calibration)
        return IdImages(training.classes, training, calibration, "training", notes)
    calibration = with_hashes(_perhaps_labelled(folders.calibration, names))
    calibration, notes = _once(calibration, "calibration")
    classes = names or calibration.classes
    if calibration.labels is None:
        notes += _strangers_note(folders.calibration, calibration, names)
        return IdImages(classes, calibration, calibration, "calibration", notes)
    first = halves_by_hash(calibration.hashes)
    deciding, calibration = calibration.subset(first), calibration.subset(~first)
    return IdImages(classes, deciding, calibration, "statistics", notes)


def _names(folders: IdFolders, own: Sequence[str]) -> tuple[str, ...]:
    """Class names by number, as far as images need not tell."""
    if folders.classes is not None:
        return _read_classes(folders.classes)
    if not own:
        return ()
    root = folders.training or folders.calibration
    if isinstance(root, str):
        return tuple(own)
    tops = {path.relative_to(root).parts[0] for path in find_images(root) if path.parent != root}
    return tuple(own) if tops <= class_positions(tops, own).keys() else ()


def _strangers_note(folder: ImageSource, images: ImageSet, names: Sequence[str]) -> tuple[str, ...]:
    """What to say about folders that look like classes and bear none of the names."""
    tops = _labels_said(folder, images)
    strange = tops - class_positions(tops, names).keys()
    if not names or not strange or len(tops) < _FEWEST_CLASSES:
        return ()
    return (
        f"the folders in '{folder}' label no image: {min(strange)!r}, for one, is not among the "
        f"{len(names)} class names",
    )


def _labels_said(folder: ImageSource, images: ImageSet) -> set[str]:
    """Classes that images have by where they are, whether or not somebody named them."""
    said = {path.label for path in images.paths if isinstance(path, StoredImage)}
    below = [path.relative_to(folder).parts for path in images.files]
    return {parts[0] for parts in below if len(parts) > 1} | said - {""}


def _once(images: ImageSet, role: str) -> tuple[ImageSet, tuple[str, ...]]:
    """The images that count in a role, and what to say about the others."""
    found = two_labels([images])
    is_trained = role == "training"
    notes = labels_note(found, "trained on" if is_trained else "left out")
    notes += thumbnails_note(images.paths)
    if not is_trained:
        images = images.subset(np.array([h not in found for h in images.hashes], np.bool_))
    first = first_of_each(images.hashes, images.labels)
    return images.subset(first), (*notes, *copies_note(images.paths, first, role))


def _labelled(folder: ImageSource, names: Sequence[str]) -> ImageSet:
    """Images in class folders, all of which are among the names, if there are any."""
    if not names:
        return labelled_images(folder)
    images = perhaps_labelled_images(folder, names)
    if images.labels is None:
        tops = _labels_said(folder, images)
        strange = min(tops - class_positions(tops, names).keys(), default="")
        raise DataError(
            f"'{folder}' has {strange!r}, which is not among the {len(names)} class names",
            hint="arrange the images as DIR/<class>/<file>, with the names of --classes",
        )
    return images


def _perhaps_labelled(folder: ImageSource, names: Sequence[str]) -> ImageSet:
    """Images with labels where every one of them is in a class folder."""
    if names or isinstance(folder, str):
        return perhaps_labelled_images(folder, names)
    paths = find_images(folder)
    tops = {path.relative_to(folder).parts[0] for path in paths}
    is_flat = any(path.parent == folder for path in paths)
    if is_flat or len(tops) < _FEWEST_CLASSES:
        return read_images(folder)
    check_class_folders(folder, paths)
    return read_images(folder, sorted(tops))


def _read_classes(path: Path) -> tuple[str, ...]:
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise DataError(
                f"'{path}' is too large for a list of class names", hint="check the path"
            )
        content = read_regular(path)
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", hint="check the path") from error
    stripped = [name.strip() for name in text_lines(content, f"'{path}'")]
    while stripped and not stripped[-1]:
        stripped.pop()
    counts = Counter(map(same_form, stripped))
    twice = next((name for name in stripped if counts[same_form(name)] > 1), None)
    if twice is not None or len(stripped) < _FEWEST_CLASSES or not all(stripped):
        found = f"{twice!r} twice" if twice else f"{len(stripped)} lines, empty ones included"
        raise DataError(
            f"'{path}' has {found}, expected two or more class names, all different",
            hint="one class name a line, in the order of the outputs",
        )
    return tuple(stripped)
