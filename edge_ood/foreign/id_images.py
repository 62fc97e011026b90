"""The images that come with somebody else's classifier: which of them may decide what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_ood.images.class_names import class_positions, read_class_names
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
from edge_ood.sources import (
    ImageSource,
    labelled_images,
    labels_said,
    perhaps_labelled_images,
)

__all__ = ["IdFolders", "IdImages", "read_id_images"]

_FEWEST_CLASSES = 2


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
        training = with_hashes(labelled_images(folders.training, names))
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
        return read_class_names(folders.classes)
    if not own:
        return ()
    root = folders.training or folders.calibration
    if isinstance(root, str):
        return tuple(own)
    tops = {path.relative_to(root).parts[0] for path in find_images(root) if path.parent != root}
    return tuple(own) if tops <= class_positions(tops, own).keys() else ()


def _strangers_note(folder: ImageSource, images: ImageSet, names: Sequence[str]) -> tuple[str, ...]:
    """What to say about folders that look like classes and bear none of the names."""
    tops = labels_said(folder, images)
    strange = tops - class_positions(tops, names).keys()
    if not names or not strange or len(tops) < _FEWEST_CLASSES:
        return ()
    return (
        f"the folders in '{folder}' label no image: {min(strange)!r}, for one, is not among the "
        f"{len(names)} class names",
    )


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
