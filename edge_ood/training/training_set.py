"""The images of a training run: decoded once, split, checked against each other, without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import with_hashes
from edge_ood.images.thumbnails import thumbnails_note
from edge_ood.sources import ImageSource, perhaps_labelled_images
from edge_ood.threads import Meter
from edge_ood.training.copies import keep_once
from edge_ood.training.fine_tuning import UNKNOWN_PAST, Past
from edge_ood.training.outlier_stream import OutlierStream
from edge_ood.training.pixels import Pixels
from edge_ood.training.roles import (
    DATA,
    Folders,
    TrainedOn,
    absolute,
    draw_splits,
    list_images,
    plan_splits,
    with_splits,
)
from edge_ood.training.run_directory import SPLITS
from edge_ood.training.store import QUIET, Reading, Store, read_store

__all__ = [
    "Folders",
    "TrainedOn",
    "TrainingSet",
    "plan_splits",
    "read_splits",
    "read_training_set",
    "with_splits",
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
_FEWEST = 2  # images of a class
_FEW_IMAGES, _SHOWN = 10, 3


@dataclass(frozen=True)
class TrainingSet:
    """Decoded images.

    Attributes:
        splits: Files, labels and hashes of every split of a run directory.
        pixels: Images of all splits that take part in training; never `calibration`.
        notes: What the user should know, one sentence each.
        broken: What is wrong with images that were left out.
        stream: Outliers that are read while training goes on, which are in no split; or None.
    """

    splits: Mapping[str, ImageSet]
    pixels: Mapping[str, Pixels]
    notes: tuple[str, ...] = ()
    broken: Mapping[Path, str] = field(default_factory=dict)
    stream: OutlierStream | None = None


def read_training_set(
    folders: Folders,
    preprocess: Preprocess,
    seed: int,
    scratch: Path,
    *,
    past: Past = UNKNOWN_PAST,
    reading: Reading = QUIET,
) -> TrainingSet:
    """Decode, split and check the images of a run.

    All images of DATA are decoded, those that will calibrate, too: a run is not to end in an export
    that cannot read them. What is broken is found before roles are drawn, which then are those of
    folders without it.

    Args:
        folders: Where the images are.
        preprocess: Decode rules and side R.
        seed: Of the splits.
        scratch: Folder for arrays that are too large for memory; nothing is left in it.
        past: What images have been to the first weights.
        reading: Where decoded images are kept, what to do about broken ones, and callbacks.

    Raises:
        DataError: If a folder or an image is unusable, or an image plays two roles.
    """
    stream = _stream(folders, preprocess, reading)  # first: its archives may be missing
    listed = list_images(folders)
    past.check_classes(folders.training, listed[DATA].classes)
    decoded = [name for name in listed if name != "calibration"]
    meter = Meter(sum(len(listed[name]) for name in decoded), reading.on_image)
    stores = {
        name: read_store(listed[name].files, preprocess, scratch, reading, meter.advance)
        for name in decoded
    }
    broken = _broken(listed, stores, reading)
    usable = {
        name: _usable(images, stores[name]) if name in stores else with_hashes(images)
        for name, images in listed.items()
    }
    if broken:
        _check_usable(usable, folders)
    splits = draw_splits(usable, folders, seed, past)
    pixels = {
        name: _pixels(splits[name], name if name in listed else DATA, listed, stores)
        for name in DECODED_SPLITS
    }
    splits["pretraining"] = past.only_pretrained(splits["training"])
    _check_roles(splits)
    own = {name: getattr(folders, name) for name in ("calibration", "validation")}
    found = _without_copies(TrainingSet(splits, pixels), own)
    # Anew: what trained the first weights and has been left out now is among these images, too.
    pretraining = past.only_pretrained(found.splits["training"])
    return replace(
        found,
        splits={**found.splits, "pretraining": pretraining},
        notes=(*found.notes, *_few_images_note(usable[DATA]), *_stream_note(stream)),
        broken=broken,
        stream=stream,
    )


def read_splits(
    sources: TrainedOn, *, on_note: Callable[[str], None] = lambda note: None
) -> Mapping[str, ImageSet]:
    """The images of a network that is trained already: nothing is split off, nothing decoded.

    Raises:
        DataError: If a folder or a file is unusable, or an image plays two roles.
    """
    training = sources.labelled
    calibration = perhaps_labelled_images(absolute(sources.calibration), training.classes)
    outliers = ImageSet(())
    if sources.outliers is not None:
        outliers = perhaps_labelled_images(absolute(sources.outliers))
    splits = {"training": training, "calibration": calibration, "outliers": outliers}
    splits = {name: splits.get(name, ImageSet(())) for name in SPLITS}
    splits = {
        name: with_hashes(replace(images, classes=training.classes))
        for name, images in splits.items()
    }
    _check_roles(splits)
    own = {"calibration": sources.calibration, "validation": None}
    found = _without_copies(TrainingSet(splits, {}), own, is_trained=True)
    for note in found.notes:
        on_note(note)
    return found.splits


def _broken(
    listed: Mapping[str, ImageSet], stores: Mapping[str, Store], reading: Reading
) -> dict[Path, str]:
    """What is wrong with broken images, which are all named; refused, if they are not skipped."""
    broken = {
        listed[name].files[row]: reason
        for name, store in stores.items()
        for row, reason in store.broken.items()
    }
    if not broken:
        return broken
    for reason in broken.values():
        reading.on_note(reason)
    total = sum(len(store.hashes) for store in stores.values())
    if not reading.skip_broken:
        first = "; ".join(list(broken.values())[:_SHOWN])
        more = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise DataError(
            f"{len(broken)} of {total} images {'is' if len(broken) == 1 else 'are'} broken: "
            f"{first}{more}",
            hint="repair or remove them, or --skip-broken goes on without them",
        )
    reading.on_note(f"left out, as broken: {len(broken)} of {total} images")
    return broken


def _usable(images: ImageSet, store: Store) -> ImageSet:
    """The images of a folder that could be decoded, with their hashes."""
    kept = np.ones(len(images), np.bool_)
    kept[list(store.broken)] = False
    return replace(images, hashes=store.hashes).subset(kept)


def _check_usable(usable: Mapping[str, ImageSet], folders: Folders) -> None:
    """Refuse what broken images leave too few of."""
    for name, images in usable.items():
        folder = folders.training if name == DATA else getattr(folders, name)
        if not len(images):
            raise DataError(f"no image of '{folder}' can be decoded", hint="repair some of them")
    data = usable[DATA]
    counts = np.bincount(_labels(data), minlength=len(data.classes))
    if counts.min() < _FEWEST:
        rare = data.classes[int(counts.argmin())]
        images_left = "1 image" if counts.min() == 1 else "no image"
        raise DataError(
            f"class {rare!r} has {images_left} that can be decoded, expected at least {_FEWEST}",
            hint="one to train on and one to calibrate with; repair some or remove the folder",
        )


def _pixels(
    images: ImageSet,
    source: str,
    listed: Mapping[str, ImageSet],
    stores: Mapping[str, Store],
) -> Pixels:
    """Where the images of a split are among those of their folder."""
    row_of = {path: row for row, path in enumerate(listed[source].paths)} if len(images) else {}
    rows = np.array([row_of[path] for path in images.paths], np.int64)
    return Pixels(stores[source].array, rows)


def _stream(folders: Folders, preprocess: Preprocess, reading: Reading) -> OutlierStream | None:
    if not folders.outlier_archives:
        return None
    return OutlierStream(folders.outlier_archives, preprocess, skip_broken=reading.skip_broken)


def _stream_note(stream: OutlierStream | None) -> tuple[str, ...]:
    if stream is None:
        return ()
    return (
        f"{len(stream):,} outliers are read from {len(stream.counts)} archives while training goes"
        " on, and not looked at before: that none of them is an ID image is for you to check",
    )


def _few_images_note(data: ImageSet) -> tuple[str, ...]:
    """What to say about classes of few images, if there are any."""
    counts = np.bincount(_labels(data), minlength=len(data.classes))
    few = [f"{data.classes[i]!r} ({counts[i]})" for i in np.flatnonzero(counts <= _FEW_IMAGES)]
    if not few:
        return ()
    more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
    return (
        f"{len(few)} of {len(counts)} classes have {_FEW_IMAGES} images or fewer:"
        f" {', '.join(few[:_SHOWN])}{more}; what is learnt and measured of them is uncertain",
    )


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
    training_set: TrainingSet, own: Mapping[str, ImageSource | None], *, is_trained: bool = False
) -> TrainingSet:
    """Let every image count once; see `keep_once`."""
    kept, notes = keep_once(training_set.splits, own, is_trained=is_trained)
    splits, pixels = dict(training_set.splits), dict(training_set.pixels)
    everything = [path for name in kept for path in splits[name].paths]
    for name, mask in kept.items():
        splits[name] = splits[name].subset(mask)
        if name in pixels:
            pixels[name] = pixels[name].subset(mask)
    classes = splits["training"].classes
    had, has = (
        np.bincount(_labels(each["training"]), minlength=len(classes))
        for each in (training_set.splits, splits)
    )
    lost = np.flatnonzero((had > 0) & (has == 0))
    if len(lost):
        raise DataError(
            f"class {classes[lost[0]]!r} has no training image that is not also in another class",
            hint="leave each image in one class folder",
        )
    return TrainingSet(splits, pixels, (*notes, *thumbnails_note(everything)))


def _labels(images: ImageSet) -> NDArray[np.int64]:
    assert images.labels is not None
    return images.labels
