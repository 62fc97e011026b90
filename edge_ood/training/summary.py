"""What is going to be trained on what, in a few lines; without torch."""

from collections.abc import Iterator, Mapping

import numpy as np

from edge_ood.training.headers import read_headers
from edge_ood.training.run_directory import Run

__all__ = ["summary"]

_ALL_NAMED = 12  # classes
_ROLES = {"training": "train", "calibration": "set thresholds", "validation": "validate"}
_OTHERS = {"outliers": "outliers", "unlabelled": "unlabelled images"}


def summary(run: Run, parameters: int, steps_per_epoch: int) -> dict[str, str]:
    """Classes, images, network and training of a run that starts, a line of text each by name.

    Args:
        run: Settings and splits.
        parameters: That the network has.
        steps_per_epoch: Of the training images.
    """
    return {
        "classes": _classes(run),
        "images": "; ".join(_images(run)),
        "network": "; ".join(_network(run, parameters)),
        "training": "; ".join(_training(run, steps_per_epoch)),
    }


def _classes(run: Run) -> str:
    labels, names = run.splits["training"].labels, run.config.classes
    assert labels is not None  # training images are in class folders
    counts = np.bincount(labels, minlength=len(names))
    if len(names) <= _ALL_NAMED:
        each = (f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
        return f"{len(names)}: {', '.join(each)}"
    fewest, most = int(counts.argmin()), int(counts.argmax())
    if counts[fewest] == counts[most]:
        return f"{len(names)} of {counts[most]:,} images each"
    return (
        f"{len(names)}, from {counts[fewest]:,} ({names[fewest]}) to {counts[most]:,} "
        f"({names[most]}) images"
    )


def _images(run: Run) -> Iterator[str]:
    splits = run.splits
    yield ", ".join(
        f"{len(splits[split]):,} {role}" for split, role in _ROLES.items() if len(splits[split])
    )
    sizes = sorted({size for _, size in read_headers(splits["training"].files)}, key=np.prod)
    ends = dict.fromkeys((*sizes[:1], *sizes[-1:]))
    if ends:
        yield " to ".join(f"{width} x {height}" for width, height in ends) + " px"
    for split, called in _OTHERS.items():
        if split in splits and len(splits[split]):
            yield f"{len(splits[split]):,} {called}"


def _network(run: Run, parameters: int) -> Iterator[str]:
    side = run.config.preprocess.size_px
    yield f"{run.config.settings.model}, {parameters:,} parameters, {side} x {side} px"
    yield f"from {run.config.first_weights}"


def _training(run: Run, steps_per_epoch: int) -> Iterator[str]:
    settings, environment = run.config.settings, run.config.environment
    recipe = f"{settings.recipe}: " if settings.recipe else ""
    epochs = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    yield (
        f"{recipe}{settings.objective}, {epochs} of {steps_per_epoch:,} steps of "
        f"{settings.batch_size} images"
    )
    yield f"{settings.precision} on {_device(environment)}"


def _device(environment: Mapping[str, object]) -> str:
    device = str(environment.get("device", ""))
    threads = environment.get("threads")
    return f"{device}, {threads} threads" if device == "cpu" and threads else device
