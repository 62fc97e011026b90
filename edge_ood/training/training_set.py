"""The images of a training run: split, checked against each other, decoded once, without torch."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.folders import ImageSet, read_class_folders, read_images
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all, with_hashes
from edge_ood.images.splits import stratified_split
from edge_ood.threads import slices
from edge_ood.training.fine_tuning import check_classes, only_pretrained, same_role
from edge_ood.training.run_directory import SPLITS, Run

__all__ = [
    "Folders",
    "TrainingSet",
    "channel_statistics",
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
_IMAGES_PER_CHUNK = 1024
_SMALLEST_STD = 0.01
_DECIMALS = 4


@dataclass(frozen=True)
class Folders:
    """Where the images and the first weights are.

    Attributes:
        training: `<class>/*` folders.
        outliers: Auxiliary outliers, or None.
        calibration: For thresholds alone; None takes a stratified 10 % of `training`.
        validation: `<class>/*` folders; None takes a further stratified 5 % of `training`.
        unlabelled: A pool that some objectives learn from without labels, or None.
        start: A finished run to start from, or None. What it calibrated and validated with keeps
            its role, in place of a new draw from `training`.
    """

    training: Path
    outliers: Path | None = None
    calibration: Path | None = None
    validation: Path | None = None
    unlabelled: Path | None = None
    start: Path | None = None


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


def plan_splits(folders: Folders, seed: int, start: Run | None = None) -> dict[str, ImageSet]:
    """Decide which file plays which role.

    Args:
        folders: Where the images are.
        seed: Of the draw, by names alone: no file is opened.
        start: The run to start from, whose splits are taken over in place of a draw, by content.

    Raises:
        DataError: If a folder is missing, empty or lacks the training classes it must have, or
            nothing but images that trained the start weights is left to calibrate with.
    """
    known = read_class_folders(folders.training.absolute())
    if start is not None:
        check_classes(start, folders.training, known.classes)
        known = with_hashes(known)
    splits = {}
    for name in ("outliers", "unlabelled", "calibration", "validation"):
        folder = getattr(folders, name)
        splits[name] = ImageSet(())
        if folder is not None:
            classes = known.classes if name in ("calibration", "validation") else ()
            splits[name] = replace(read_images(folder.absolute(), classes), classes=known.classes)
    if folders.validation is not None and splits["validation"].labels is None:
        raise DataError(
            f"'{folders.validation}' has images outside folders named after the training classes",
            hint=f"arrange them as <class>/<file>, with classes such as {known.classes[0]!r}",
        )
    left = np.ones(len(known), np.bool_)
    if folders.calibration is None:
        taken = _calibration_mask(known, seed, start)
        splits["calibration"], left = known.subset(taken), ~taken
    if folders.validation is None:
        taken = left & _validation_mask(known, left, seed, start)
        splits["validation"], left = known.subset(taken), left & ~taken
    return {"training": known.subset(left), **splits}


def read_training_set(
    folders: Folders,
    preprocess: Preprocess,
    seed: int,
    scratch: Path,
    *,
    start: Run | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingSet:
    """Split, decode and check the images of a run.

    Args:
        folders: Where the images are.
        preprocess: Decode rules and size S.
        seed: Of the splits.
        scratch: Folder for arrays that are too large for memory; nothing is left in it.
        start: The run to start from, if any.
        on_image: Called with the number of images decoded so far and in total.

    Raises:
        DataError: If a folder or an image is unusable, or an image plays two roles.
    """
    splits = plan_splits(folders, seed, start)
    total = sum(len(splits[name]) for name in DECODED_SPLITS)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_image(done, total)

    if start is None or folders.calibration is not None:
        splits["calibration"] = with_hashes(splits["calibration"])
    pixels = {}
    for name in DECODED_SPLITS:
        images = splits[name]
        out = _array((len(images), preprocess.size_px, preprocess.size_px, 3), scratch)
        pixels[name], hashes = decode_all(images.paths, preprocess, out=out, on_image=count)
        splits[name] = replace(images, hashes=tuple(hashes))
    empty = ImageSet((), None, splits["training"].classes)
    splits["pretraining"] = only_pretrained(start, splits["training"]) if start else empty
    _check_roles(splits)
    return _without_duplicates(TrainingSet(splits, pixels), folders)


def read_splits(folders: Folders) -> Mapping[str, ImageSet]:
    """The images of a network that is trained already: nothing is split off, nothing decoded.

    Args:
        folders: All its training images, images for thresholds alone, and perhaps outliers.

    Raises:
        DataError: If a folder or a file is unusable, or an image plays two roles.
    """
    known = read_class_folders(folders.training.absolute())
    splits = {"training": known}
    for name in SPLITS[1:]:
        folder = getattr(folders, name, None)
        classes = () if name == "outliers" else known.classes
        images = ImageSet(()) if folder is None else read_images(folder.absolute(), classes)
        splits[name] = replace(images, classes=known.classes)
    splits = {name: with_hashes(images) for name, images in splits.items()}
    _check_roles(splits)
    return _without_duplicates(TrainingSet(splits, {}), folders).splits


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each RGB channel, in units of [0, 1] pixel values.

    Args:
        images: uint8 (N, S, S, 3), N >= 1.

    Returns:
        Both rounded to 4 decimals, so that they read well; the deviation is at least 0.01.
    """
    counts = np.zeros((3, 256), np.int64)
    for part in slices(len(images), _IMAGES_PER_CHUNK):
        chunk = images[part]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    total = counts.sum(1)
    mean = counts @ levels / total
    variance = counts @ levels**2 / total - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), _SMALLEST_STD)
    red, green, blue = (round(float(value), _DECIMALS) for value in mean)
    red_std, green_std, blue_std = (round(float(value), _DECIMALS) for value in std)
    return (red, green, blue), (red_std, green_std, blue_std)


def _calibration_mask(known: ImageSet, seed: int, start: Run | None) -> NDArray[np.bool_]:
    """A stratified 10 % of all images, or what calibrates the run to start from."""
    if start is None:
        return stratified_split(_labels(known), _CALIBRATION_SHARE, seed)
    taken = same_role(start, "calibration", known.hashes)
    if not taken.any():
        raise DataError(
            f"none of the {len(start.splits['calibration'])} calibration images of '{start.path}'"
            f" is among the {len(known)} images given, and other images may have trained it",
            hint="--calibration DIR, with images that took no part in training",
        )
    return taken


def _validation_mask(
    known: ImageSet, left: NDArray[np.bool_], seed: int, start: Run | None
) -> NDArray[np.bool_]:
    """A stratified 5 % of all images, drawn from those that are left of the larger classes."""
    if start is not None:
        return same_role(start, "validation", known.hashes)
    labels = _labels(known)
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


def _without_duplicates(training_set: TrainingSet, folders: Folders) -> TrainingSet:
    """Leave copies of training images out of our own splits; refuse them in the user's."""
    splits, pixels = dict(training_set.splits), dict(training_set.pixels)
    notes = []
    trained = {*splits["training"].hashes, *splits["pretraining"].hashes}
    for name in ("calibration", "validation"):
        fresh = np.array([digest not in trained for digest in splits[name].hashes], np.bool_)
        copies = len(fresh) - int(fresh.sum())
        if not copies:
            continue
        if getattr(folders, name) is not None:
            raise DataError(
                f"{copies} of {len(fresh)} {name} images are also training images",
                hint=f"remove them from '{getattr(folders, name)}'",
            )
        first = splits[name].paths[int(fresh.argmin())]
        notes.append(
            f"left out, as copies of training images: {copies} of {len(fresh)} {name} images,"
            f" the first is '{first}'"
        )
        splits[name] = splits[name].subset(fresh)
        if name in pixels:
            pixels[name] = pixels[name][fresh]
    return TrainingSet(splits, pixels, tuple(notes))


def _labels(images: ImageSet) -> NDArray[np.int64]:
    assert images.labels is not None
    return images.labels


def _array(shape: tuple[int, ...], scratch: Path) -> NDArray[np.uint8]:
    """An array in memory, or in a file that is already unlinked where memory is short."""
    nbytes = int(np.prod(shape))
    if nbytes <= _free_memory() // 2:
        return np.empty(shape, np.uint8)
    path = scratch / f".pixels.{os.getpid()}.part"
    try:
        with path.open("w+b") as file:
            path.unlink()
            # Reserved now: writing to a hole on a full disk would kill the process (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, nbytes)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"cannot keep {nbytes >> 20} MiB of decoded images in '{scratch}': {error.strerror}",
            hint="free some space, or lower --image-size",
        ) from error


def _free_memory() -> int:
    """Bytes that can be used without swapping."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
