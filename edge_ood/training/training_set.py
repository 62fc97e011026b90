"""The images of a training run: split, checked against each other, decoded once, without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all, with_hashes
from edge_ood.images.splits import stratified_split
from edge_ood.images.thumbnails import thumbnails_note
from edge_ood.training.copies import keep_once
from edge_ood.training.fine_tuning import UNKNOWN_PAST, Past
from edge_ood.training.pixels import kept_rows, pixel_array
from edge_ood.training.run_directory import SPLITS

if TYPE_CHECKING:
    from edge_ood.weights.source import NetworkSource

__all__ = [
    "Folders",
    "TrainingSet",
    "plan_splits",
    "read_splits",
    "read_training_set",
]

DECODED_SPLITS = ("training", "validation", "outliers", "unlabelled")

_NEVER_AMONG = (
    ("outliers", "training"),
    ("outliers", "pretraining"),
    ("outliers", "calibration"),
    ("outliers", "validation"),
    ("unlabelled", "calibration"),
    ("unlabelled", "validation"),
)
_CALIBRATION_SHARE = 0.1
_VALIDATION_SHARE = 0.05
_FEWEST_FOR_VALIDATION = 3  # images of a class: one to train, one to calibrate, one to validate


@dataclass(frozen=True)
class Folders:
    """Where the images and the first weights are.

    Attributes:
        training: `<class>/*` folders.
        outliers: Auxiliary outliers, or None.
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

    @property
    def run_to_start_from(self) -> Path | None:
        """The directory of a finished run, if it is that."""
        return self.start if isinstance(self.start, Path) else None


@dataclass(frozen=True)
class TrainingSet:
    """Decoded images.

    Attributes:
        splits: Files, labels and hashes of every split of a run directory.
        pixels: uint8 (N, S, S, 3) of all splits that take part in training; never `calibration`.
        notes: What the user should know, one sentence each.
    """

    splits: Mapping[str, ImageSet]
    pixels: Mapping[str, NDArray[np.uint8]]
    notes: tuple[str, ...] = ()


def plan_splits(folders: Folders, seed: int, past: Past = UNKNOWN_PAST) -> dict[str, ImageSet]:
    """Decide which file plays which role.

    Args:
        folders: Where the images are.
        seed: Of the draw, by names alone: no file is opened.
        past: What images have been to the first weights; a role that they keep is not drawn anew.

    Raises:
        DataError: If a folder is missing, empty or lacks the training classes it must have, or
            no image is left to calibrate with or to train on.
    """
    labelled = read_class_folders(folders.training.absolute())
    past.check_classes(folders.training, labelled.classes)
    if past.kept:
        labelled = with_hashes(labelled)
    classes, splits = labelled.classes, {}
    for name in ("outliers", "unlabelled", "calibration", "validation"):
        folder = getattr(folders, name)
        splits[name] = ImageSet(())
        if folder is not None:
            wanted = classes if name in ("calibration", "validation") else ()
            splits[name] = replace(read_images(folder.absolute(), wanted), classes=classes)
    if folders.validation is not None and splits["validation"].labels is None:
        raise DataError(
            f"'{folders.validation}' has images outside folders named after the training classes",
            hint=f"arrange them as <class>/<file>, with classes such as {classes[0]!r}",
        )
    left = np.ones(len(labelled), np.bool_)
    if folders.calibration is None:
        taken = _calibration_mask(labelled, seed, past)
        splits["calibration"], left = labelled.subset(taken), ~taken
    if folders.validation is None:
        taken = left & _validation_mask(labelled, left, seed, past)
        splits["validation"], left = labelled.subset(taken), left & ~taken
    if not left.any():
        raise DataError(
            f"all {len(labelled)} images of '{folders.training}' calibrate or validate"
            f" {past.source}, expected some to train on",
            hint="add images that the run does not have, or that trained it",
        )
    return {"training": labelled.subset(left), **splits}


def read_training_set(
    folders: Folders,
    preprocess: Preprocess,
    seed: int,
    scratch: Path,
    *,
    past: Past = UNKNOWN_PAST,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingSet:
    """Split, decode and check the images of a run.

    Args:
        folders: Where the images are.
        preprocess: Decode rules and size S.
        seed: Of the splits.
        scratch: Folder for arrays that are too large for memory; nothing is left in it.
        past: What images have been to the first weights.
        on_image: Called with the number of images decoded so far and in total.

    Raises:
        DataError: If a folder or an image is unusable, or an image plays two roles.
    """
    splits = plan_splits(folders, seed, past)
    total = sum(len(splits[name]) for name in DECODED_SPLITS)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_image(done, total)

    splits["calibration"] = with_hashes(splits["calibration"])
    pixels = {}
    for name in DECODED_SPLITS:
        images = splits[name]
        out = pixel_array(len(images), preprocess.resized_px, scratch)
        pixels[name], hashes = decode_all(images.paths, preprocess, out=out, on_image=count)
        splits[name] = replace(images, hashes=tuple(hashes))
    splits["pretraining"] = past.only_pretrained(splits["training"])
    _check_roles(splits)
    found = _without_copies(TrainingSet(splits, pixels), folders)
    # Anew: what trained the first weights and has been left out now is among these images, too.
    pretraining = past.only_pretrained(found.splits["training"])
    return replace(found, splits={**found.splits, "pretraining": pretraining})


def read_splits(
    folders: Folders, *, on_note: Callable[[str], None] = lambda note: None
) -> Mapping[str, ImageSet]:
    """The images of a network that is trained already: nothing is split off, nothing decoded.

    Args:
        folders: All its training images, images for thresholds alone, and perhaps outliers.
        on_note: Called with sentences that the user should read.

    Raises:
        DataError: If a folder or a file is unusable, or an image plays two roles.
    """
    training = read_class_folders(folders.training.absolute())
    splits = {"training": training}
    for name in SPLITS[1:]:
        folder = getattr(folders, name, None)
        classes = () if name == "outliers" else training.classes
        images = ImageSet(()) if folder is None else read_images(folder.absolute(), classes)
        splits[name] = replace(images, classes=training.classes)
    splits = {name: with_hashes(images) for name, images in splits.items()}
    _check_roles(splits)
    found = _without_copies(TrainingSet(splits, {}), folders, is_trained=True)
    for note in found.notes:
        on_note(note)
    return found.splits


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


def _check_roles(splits: Mapping[str, ImageSet]) -> None:
    """Refuse outliers and unlabelled images that have a role which excludes them."""
    for role, other in _NEVER_AMONG:
        images = splits[role]
        shared = set(images.hashes) & set(splits[other].hashes)
        if shared:
            example = images.paths[images.hashes.index(min(shared))]
            raise DataError(
                f"{len(shared)} of {len(images)} images of --{role} are {other} images,"
                f" such as '{example}'",
                hint="remove them from one of the two: no image may play both roles",
            )


def _without_copies(
    training_set: TrainingSet, folders: Folders, *, is_trained: bool = False
) -> TrainingSet:
    """Let every image count once; see `keep_once`."""
    own = {name: getattr(folders, name) for name in ("calibration", "validation")}
    kept, notes = keep_once(training_set.splits, own, is_trained=is_trained)
    splits, pixels = dict(training_set.splits), dict(training_set.pixels)
    everything = [path for name in kept for path in splits[name].paths]
    for name, mask in kept.items():
        splits[name] = splits[name].subset(mask)
        if name in pixels:
            pixels[name] = kept_rows(pixels[name], mask)
    training = splits["training"]
    counts = np.bincount(_labels(training), minlength=len(training.classes))
    if not counts.all():
        raise DataError(
            f"class {training.classes[int(counts.argmin())]!r} has no training image that is not"
            " also in another class",
            hint="leave each image in one class folder",
        )
    return TrainingSet(splits, pixels, (*notes, *thumbnails_note(everything)))


def _labels(images: ImageSet) -> NDArray[np.int64]:
    assert images.labels is not None
    return images.labels
