"""What `train` writes and `export` reads: settings, splits, metrics and weights, without torch.

`config.json` holds everything needed to repeat the run; `splits.json` every training, calibration,
validation and outlier file with its hash; `metrics.csv` one row an epoch; `model.safetensors` the
trained weights, whose presence means that the run is finished; `last.ckpt`, while training, the
state after the last saved step.
"""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_ood.errors import ArtifactError, InputError
from edge_ood.images import ImageSet
from edge_ood.output import atomic_output
from edge_ood.preprocess import Preprocess
from edge_ood.registry import Spec

__all__ = [
    "AUGMENTATIONS",
    "PRECISIONS",
    "SPLITS",
    "Run",
    "RunConfig",
    "Settings",
    "read_run",
    "write_metrics",
    "write_run",
]

AUGMENTATIONS = ("flip", "crop")
PRECISIONS = ("fp32", "bf16")
SPLITS = ("training", "calibration", "validation", "outliers")

_FORMAT = 1
_RATES = ("learning_rate", "final_learning_rate", "momentum", "weight_decay")


@dataclass(frozen=True)
class Settings:
    """How to train, apart from the images.

    Attributes:
        model: Name and parameters of the network.
        objective: Name and parameters of the training method.
        heads: Linear heads, 1 or 2.
        augmentation: Which of `flip` and `crop` are drawn for each training image.
        epochs: Passes over the training images.
        batch_size: Training images per step, over all processes.
        outlier_batch_size: Outliers per step, over all processes, when there are any.
        learning_rate: At the first step.
        final_learning_rate: What the cosine ends at.
        momentum: Nesterov's, in [0, 1).
        weight_decay: L2, added to the gradient.
        precision: Of the forward pass: `fp32` or `bf16`.
        seed: Every random draw is a function of it, the epoch and the step.

    Raises:
        InputError: If a field is out of range.
    """

    model: Spec
    objective: Spec
    heads: int = 1
    augmentation: tuple[str, ...] = AUGMENTATIONS
    epochs: int = 100
    batch_size: int = 128
    outlier_batch_size: int = 256
    learning_rate: float = 0.1
    final_learning_rate: float = 1e-6
    momentum: float = 0.9
    weight_decay: float = 5e-4
    precision: str = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "outlier_batch_size", "heads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("seed", *_RATES):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}, expected a number >= 0")
        if self.heads > 2 or self.momentum >= 1:
            raise InputError(
                f"{self.heads} heads and momentum {self.momentum}, expected 1 or 2 and less than 1"
            )
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}, expected one of {PRECISIONS}")
        if not set(self.augmentation) <= set(AUGMENTATIONS):
            raise InputError(
                f"augmentation is {','.join(self.augmentation)!r}, expected some of flip,crop",
                hint="--augmentation none switches both off",
            )


@dataclass(frozen=True)
class RunConfig:
    """Everything needed to repeat a run, apart from the images.

    Attributes:
        settings: How to train.
        classes: K class names; a label is an index into them.
        preprocess: From a file to network input.
        environment: Versions, device, threads and processes: on the record, not compared.
    """

    settings: Settings
    classes: tuple[str, ...]
    preprocess: Preprocess
    environment: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A document that `from_json` reads."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RunConfig":
        """Read and check what `to_json` wrote; raises what a damaged document provokes."""
        settings = dict(document["settings"])
        for name in ("model", "objective"):
            settings[name] = Spec(str(settings[name]["name"]), dict(settings[name]["parameters"]))
        settings["augmentation"] = tuple(settings["augmentation"])
        return cls(
            settings=Settings(**settings),
            classes=tuple(str(name) for name in document["classes"]),
            preprocess=Preprocess.from_json(document["preprocess"]),
            environment=dict(document["environment"]),
        )


@dataclass(frozen=True)
class Run:
    """A run directory that was read and checked.

    Attributes:
        path: The directory.
        config: Settings, classes and preprocessing.
        splits: Image sets with hashes: `training` and `validation` with labels, `calibration` with
            labels where its folders bear class names, `outliers` without; empty if unused.
    """

    path: Path
    config: RunConfig
    splits: Mapping[str, ImageSet]

    @property
    def weights_path(self) -> Path:
        """Where the trained weights are once the run is finished."""
        return self.path / "model.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end."""
        return self.weights_path.is_file() and not (self.path / "last.ckpt").exists()


def read_run(path: Path) -> Run:
    """Read a run directory, finished or not.

    Raises:
        ArtifactError: If a file is missing, damaged or from a newer edge-ood.
    """
    config = _read(path / "config.json")
    splits = _read(path / "splits.json")
    try:
        settled = RunConfig.from_json(config)
        images = {name: _images_from_json(splits[name], settled.classes) for name in SPLITS}
        run = Run(path, settled, images)
        _check_labels(run)
    except KeyError as error:
        raise _damaged(path, f"{error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    return run


def write_run(run: Run) -> None:
    """Write `splits.json` and `config.json`, in this order: a config means that both are there.

    Raises:
        DataError: If the folder cannot be written or the disk is full.
    """
    splits = {name: _images_to_json(run.splits[name]) for name in SPLITS}
    for name, document, indent in (
        ("splits.json", {"format": _FORMAT, **splits}, None),
        ("config.json", run.config.to_json(), 2),
    ):
        with atomic_output(run.path / name) as temporary:
            temporary.write_text(json.dumps(document, indent=indent) + "\n", "utf-8")


def write_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one row an epoch, replacing the file, so that resuming never doubles a row.

    Raises:
        DataError: If the folder cannot be written or the disk is full.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_output(path) as temporary:
        temporary.write_text(text.getvalue(), "utf-8", newline="")


def _images_to_json(images: ImageSet) -> dict[str, Any]:
    """A root folder, and `[file below it, hash, label or null]` for every image."""
    root = os.path.commonpath([path.parent for path in images.paths]) if images.paths else ""
    labels = [None] * len(images) if images.labels is None else images.labels.tolist()
    files = [os.path.relpath(path, root) for path in images.paths]
    rows = zip(files, images.hashes, labels, strict=True)
    return {"root": root, "images": [list(row) for row in rows]}


def _images_from_json(document: Mapping[str, Any], classes: tuple[str, ...]) -> ImageSet:
    root = Path(document["root"])
    rows = [(str(file), str(digest), label) for file, digest, label in document["images"]]
    labelled = [int(label) for _, _, label in rows if label is not None]
    if len(labelled) not in (0, len(rows)):
        raise ValueError("some images of a split have a label and some have none")
    return ImageSet(
        tuple(root / file for file, _, _ in rows),
        np.array(labelled, np.int64) if labelled else None,
        classes,
        tuple(digest for _, digest, _ in rows),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"'{path.parent}' is not a run directory: no readable {path.name}",
            hint="a run directory is made by 'edge-ood train DATA -o RUN'",
        ) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise _damaged(path, "no format number")
    if document["format"] > _FORMAT:
        raise ArtifactError(
            f"'{path}' has format {document['format']}, this edge-ood reads up to {_FORMAT}",
            hint="pip install --upgrade edge-ood",
        )
    return document


def _check_labels(run: Run) -> None:
    classes = len(run.config.classes)
    for name, images in run.splits.items():
        if (
            images.labels is not None
            and not 0 <= images.labels.min() <= images.labels.max() < classes
        ):
            raise ValueError(f"a label of {name} is outside the {classes} classes")
    if run.splits["training"].labels is None or classes < 2:
        raise ValueError("no labelled training images of two classes")


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"'{path}' is damaged: {reason}", hint="train again")
