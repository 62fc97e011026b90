"""Which image plays which role: what folders hold, and what is drawn of DATA; without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.class_names import read_class_names
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.reading import with_hashes
from edge_ood.images.split_folders import split_folders
from edge_ood.images.splits import stratified_split
from edge_ood.sources import ImageSource, labelled_images
from edge_ood.training.fine_tuning import UNKNOWN_PAST, Past

if TYPE_CHECKING:
    from edge_ood.weights.source import NetworkSource

__all__ = [
    "DATA",
    "Folders",
    "TrainedOn",
    "absolute",
    "draw_splits",
    "list_images",
    "plan_splits",
    "with_splits",
]

DATA = "data"
"""What the images of `Folders.training` are called before some of them get other roles."""

_CALIBRATION_SHARE = 0.1
_VALIDATION_SHARE = 0.05
_FEWEST_FOR_VALIDATION = 3  # images of a class: one to train, one to calibrate, one to validate


@dataclass(frozen=True)
class Folders:
    """Where the images and the first weights are.

    Attributes:
        training: `<class>/*` folders.
        outliers: Auxiliary outliers, or None.
        outlier_archives: Archives of them, as `edge_ood.sources` has them, in place of a folder;
            empty for none.
        calibration: For thresholds alone; None takes a stratified 10 % of `training`.
        validation: `<class>/*` folders; None takes a further stratified 5 % of `training`.
        unlabelled: A pool that some objectives learn from without labels, or None.
        start: A finished run to start from, somebody's weights, or None. What a run calibrated and
            validated with keeps its role, in place of a new draw from `training`.
    """

    training: Path
    outliers: Path | None = None
    calibration: Path | None = None
    validation: Path | None = None
    unlabelled: Path | None = None
    start: "Path | NetworkSource | None" = None
    outlier_archives: str = ""

    @property
    def run_to_start_from(self) -> Path | None:
        """The directory of a finished run, if it is that."""
        return self.start if isinstance(self.start, Path) else None


@dataclass(frozen=True)
class TrainedOn:
    """Where the images of a network are that is trained already.

    Attributes:
        training: All its training images, with classes; or, of the classes that are named, some.
        calibration: None trained on, for thresholds alone.
        outliers: Auxiliary ones, or None.
        classes: A file with one class name a line, in the order of its outputs; None if they are
            those of the training images, sorted.
    """

    training: ImageSource
    calibration: ImageSource
    outliers: ImageSource | None = None
    classes: Path | None = None

    @cached_property
    def labelled(self) -> ImageSet:
        """Its training images, read once: those of archives cost a pass over all bytes.

        Raises:
            DataError: If a folder or a file is unusable, or an image has none of the classes.
        """
        names = () if self.classes is None else read_class_names(self.classes)
        return labelled_images(absolute(self.training), names)


def absolute(source: ImageSource) -> ImageSource:
    """The same place, whatever folder is the working one later."""
    return source.absolute() if isinstance(source, Path) else source


def with_splits(folders: Folders) -> tuple[Folders, tuple[str, ...]]:
    """Folders `train`, `val` and `test` inside DATA, taken for what they are called.

    Returns:
        The folders to train and validate with, and notes for the user; as given where DATA holds
        anything else.

    Raises:
        DataError: If there is a class in one of them that is not in `train`.
    """
    root = folders.training
    found = split_folders(root)
    if found is None:
        return folders, ()
    notes = [f"'{root}' holds splits: trains on '{found.training}'"]
    validation = folders.validation
    if found.validation is not None and validation is None:
        validation = found.validation
        notes.append(f"validates on '{validation}'")
    elif found.validation is not None:
        notes.append(f"leaves '{found.validation}' alone, as --validation is given")
    note = ", ".join(notes)
    if found.test is not None:
        note += f"; '{found.test}' is left alone, for 'edge-ood evaluate --id'"
    return replace(folders, training=found.training, validation=validation), (note,)


def plan_splits(folders: Folders, seed: int, past: Past = UNKNOWN_PAST) -> dict[str, ImageSet]:
    """Decide which file plays which role, as `list_images` and `draw_splits` do.

    Args:
        folders: Where the images are.
        seed: Of the draw, by names alone: no file is opened.
        past: What images have been to the first weights; a role that they keep is not drawn anew.
    """
    return draw_splits(list_images(folders), folders, seed, past)


def list_images(folders: Folders) -> dict[str, ImageSet]:
    """The images of each folder, by role, and as `DATA` those that roles are drawn from.

    Raises:
        DataError: If a folder is missing, empty or lacks the training classes it must have.
    """
    labelled = read_class_folders(folders.training.absolute())
    classes, listed = labelled.classes, {DATA: labelled}
    for name in ("outliers", "unlabelled", "calibration", "validation"):
        folder = getattr(folders, name)
        if folder is not None:
            wanted = classes if name in ("calibration", "validation") else ()
            listed[name] = replace(read_images(folder.absolute(), wanted), classes=classes)
    if folders.validation is not None and listed["validation"].labels is None:
        raise DataError(
            f"'{folders.validation}' has images outside folders named after the training classes",
            hint=f"arrange them as <class>/<file>, with classes such as {classes[0]!r}",
        )
    return listed


def draw_splits(
    listed: Mapping[str, ImageSet], folders: Folders, seed: int, past: Past = UNKNOWN_PAST
) -> dict[str, ImageSet]:
    """Give each image of DATA one role; others have that of their folder.

    Args:
        listed: As `list_images` gives it, perhaps with hashes and without some of the images.
        folders: Where they come from.
        seed: Of the draw, by names alone.
        past: What images have been to the first weights; a role that they keep is not drawn anew.

    Raises:
        DataError: If the classes are not those of the weights, or no image is left to calibrate
            with or to train on.
    """
    labelled = listed[DATA]
    past.check_classes(folders.training, labelled.classes)
    if past.kept:
        labelled = with_hashes(labelled)
    splits = {
        name: listed.get(name, ImageSet(()))
        for name in ("outliers", "unlabelled", "calibration", "validation")
    }
    left = np.ones(len(labelled), np.bool_)
    if "calibration" not in listed:
        taken = _calibration_mask(labelled, seed, past)
        splits["calibration"], left = labelled.subset(taken), ~taken
    if "validation" not in listed:
        taken = left & _validation_mask(labelled, left, seed, past)
        splits["validation"], left = labelled.subset(taken), left & ~taken
    if not left.any():
        raise DataError(
            f"all {len(labelled)} images of '{folders.training}' calibrate or validate"
            f" {past.source}, expected some to train on",
            hint="add images that the run does not have, or that trained it",
        )
    return {"training": labelled.subset(left), **splits}


def _calibration_mask(labelled: ImageSet, seed: int, past: Past) -> NDArray[np.bool_]:
    """A stratified 10 % of all images, or those that go on calibrating."""
    if "calibration" not in past.kept:
        return stratified_split(_labels(labelled), _CALIBRATION_SHARE, seed)
    taken = past.had_role("calibration", labelled.hashes)
    if not taken.any():
        raise DataError(
            f"none of the {len(past.kept['calibration'])} calibration images of {past.source}"
            f" is among the {len(labelled)} images given, and other images may have trained it",
            hint="--calibration DIR, with images that took no part in training",
        )
    return taken


def _validation_mask(
    labelled: ImageSet, left: NDArray[np.bool_], seed: int, past: Past
) -> NDArray[np.bool_]:
    """A stratified 5 % of all images, drawn from those that are left of the larger classes."""
    if "validation" in past.kept:
        return past.had_role("validation", labelled.hashes)
    labels = _labels(labelled)
    large = np.bincount(labels)[labels] >= _FEWEST_FOR_VALIDATION
    members = np.flatnonzero(left & large)
    mask = np.zeros(len(labels), np.bool_)
    if len(members):
        share = _VALIDATION_SHARE * len(labels) / left.sum()
        mask[members[stratified_split(labels[members], share, seed)]] = True
    return mask


def _labels(images: ImageSet) -> NDArray[np.int64]:
    assert images.labels is not None
    return images.labels
