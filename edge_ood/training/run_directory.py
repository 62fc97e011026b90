"""What `train` writes and `export` reads: settings, splits, metrics and weights, without torch.

`config.json` holds everything needed to repeat the run; `splits.json` every training, calibration,
validation and outlier file with its hash, and what was left out as broken; `metrics.csv` one row an
epoch; `energies.json` those of some images before and after; `model.safetensors` the trained
weights, whose presence means that the run is finished; `report.html` a page about all of it;
`last.ckpt`, while training, the state after the last saved step.
"""

import csv
import io
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_ood.errors import ArtifactError
from edge_ood.files.document import Document, newer_format, parse_json
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import read_regular
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.metrics.classification import chance_level
from edge_ood.training.image_lists import (
    broken_from_json,
    broken_to_json,
    images_from_json,
    images_to_json,
)
from edge_ood.training.settings import Settings

__all__ = [
    "PAGE_FILE",
    "SPLITS",
    "EpochReport",
    "Run",
    "RunConfig",
    "Start",
    "check_epoch",
    "read_metrics",
    "read_run",
    "write_metrics",
    "write_run",
]

SPLITS = ("training", "calibration", "validation", "outliers", "unlabelled", "pretraining")

PAGE_FILE = "report.html"

_LATER_SPLITS = ("unlabelled", "pretraining")  # runs of earlier versions lack them

_FORMAT = 1
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Start:
    """The weights that a run starts from: of a finished run, or somebody else's.

    Attributes:
        run: Its directory; empty for other weights.
        weights: Their content hash.
        source: What messages call others.
    """

    run: str
    weights: str
    source: str = ""


@dataclass(frozen=True)
class RunConfig:
    """Everything needed to repeat a run, apart from the images.

    Attributes:
        settings: How to train.
        classes: K class names; a label is an index into them.
        preprocess: From a file to network input.
        environment: Versions, device, threads and processes: on the record, not compared.
        start: Where the first weights come from; None for random ones.
        measured: Parameters that the objective set by the first weights.
        outlier_archives: Hash of the archives that outliers are read from; empty without any.
    """

    settings: Settings
    classes: tuple[str, ...]
    preprocess: Preprocess
    environment: Mapping[str, Any] = field(default_factory=dict)
    start: Start | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    outlier_archives: str = ""

    @property
    def objective_parameters(self) -> dict[str, Any]:
        """All parameters of the objective, the measured ones included."""
        return {**self.settings.objective.parameters, **self.measured}

    @property
    def first_weights(self) -> str:
        """Where they come from, as `from ...` would have it."""
        if self.start is not None:
            return f"the weights of {self.start.run or self.start.source}"
        if ":" in self.settings.model.name:  # code of the user's, which may load some
            return f"the weights that {self.settings.model.name} makes"
        return f"random weights, drawn with seed {self.settings.seed}"

    def to_json(self) -> dict[str, Any]:
        """A document that `from_json` reads."""
        return {"format": _FORMAT, **asdict(self), "settings": self.settings.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], origin: str) -> "RunConfig":
        """Read and check what `to_json` wrote; raises what a damaged document provokes.

        Args:
            document: Anything.
            origin: The file that it comes from, which the names in it keep.
        """
        fields_of = Document(document)
        start = fields_of.optional("start", dict)
        return cls(
            settings=Settings.from_json(fields_of.get("settings", dict), origin),
            classes=tuple(fields_of.each("classes", str)),
            preprocess=Preprocess.from_json(fields_of.get("preprocess", dict)),
            environment=fields_of.get("environment", dict),
            start=None if start is None else Start(**Document(start).mapped(str)),
            measured=Document(fields_of.get("measured", dict, {})).mapped(float),
            outlier_archives=fields_of.get("outlier_archives", str, ""),
        )


@dataclass(frozen=True)
class Run:
    """A run directory that was read and checked.

    Attributes:
        path: The directory.
        config: Settings, classes and preprocessing.
        splits: Image sets with hashes: `training` and `validation` with labels, `calibration` with
            labels where its folders bear class names, the others without; empty if unused.
            `pretraining` are images that only trained the weights which the run started from.
        broken: What was wrong with images that were left out, by file.
    """

    path: Path
    config: RunConfig
    splits: Mapping[str, ImageSet]
    broken: Mapping[Path, str] = field(default_factory=dict)

    @property
    def weights_path(self) -> Path:
        """Where the trained weights are once the run is finished."""
        return self.path / "model.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end."""
        return self.weights_path.is_file() and not (self.path / "last.ckpt").exists()

    @property
    def chance_level(self) -> float:
        """That of the validation images, in (0, 1]; NaN where there are none."""
        labels = self.splits["validation"].labels
        return math.nan if labels is None or not len(labels) else chance_level(labels)


@dataclass(frozen=True)
class EpochReport:
    """One row of `metrics.csv`.

    Attributes:
        epoch: Counted from 1.
        learning_rate: Of its last step.
        training_loss: Mean over its optimiser steps, in nats.
        validation_accuracy: In [0, 1]; NaN without validation images.
        images_per_s: Training images, outliers not counted.
        seconds: Wall time, validation not counted.
        first_head_accuracy: Like `validation_accuracy`, which is that of the heads' mean logits.
        second_head_accuracy: NaN with one head, too.
    """

    epoch: int
    learning_rate: float
    training_loss: float
    validation_accuracy: float
    images_per_s: float
    seconds: float
    first_head_accuracy: float = math.nan
    second_head_accuracy: float = math.nan


def read_run(path: Path) -> Run:
    """Read a run directory, finished or not.

    Raises:
        ArtifactError: If a file is missing, damaged or from a newer edge-ood.
    """
    config = _read(path / "config.json")
    splits = _read(path / "splits.json")
    try:
        settled = RunConfig.from_json(config, str(path / "config.json"))
        for name in _LATER_SPLITS:
            splits.setdefault(name, {"root": "", "images": []})
        images = {name: images_from_json(splits[name], settled.classes) for name in SPLITS}
        run = Run(path, settled, images, broken_from_json(splits.get("broken", {})))
        _check_classes(run)
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
    splits = {name: images_to_json(run.splits[name]) for name in SPLITS}
    for name, document, indent in (
        ("splits.json", {"format": _FORMAT, **splits, "broken": broken_to_json(run.broken)}, None),
        ("config.json", run.config.to_json(), 2),
    ):
        with atomic_output(run.path / name) as temporary:
            temporary.write_text(json.dumps(document, indent=indent) + "\n", "utf-8")


def write_metrics(path: Path, epochs: Sequence[EpochReport]) -> None:
    """Write `metrics.csv` anew, one row an epoch, so that resuming never doubles a row.

    Raises:
        DataError: If the folder cannot be written or the disk is full.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [f.name for f in fields(EpochReport)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in epochs)
    with atomic_output(path / "metrics.csv") as temporary:
        temporary.write_text(text.getvalue(), "utf-8", newline="")


def read_metrics(path: Path) -> tuple[EpochReport, ...]:
    """The rows of a run's `metrics.csv`.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    source = path / "metrics.csv"
    try:
        rows = list(csv.DictReader(read_regular(source).decode("utf-8").splitlines()))
        epochs = tuple(map(_epoch, rows))
        if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
            raise ValueError("its epochs are not counted from 1")
    except OSError as error:
        raise ArtifactError(f"cannot read '{source}': {error.strerror}") from error
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise _damaged(source, repr(error)) from error
    return epochs


def _hint_for(path: Path) -> str:
    if path.suffix.lower() == ".onnx":
        return "'edge-ood attach' takes a classifier as ONNX, whatever trained it"
    return "a run directory is made by 'edge-ood train DATA -o RUN'"


def _read(path: Path) -> dict[str, Any]:
    try:
        document = parse_json(read_regular(path))
    except OSError as error:
        raise ArtifactError(
            f"'{path.parent}' is not a run directory: no readable {path.name}",
            hint=_hint_for(path.parent),
        ) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise _damaged(path, "no format number")
    if document["format"] > _FORMAT:
        raise newer_format(path, document["format"], _FORMAT)
    return document


def _check_classes(run: Run) -> None:
    classes = len(run.config.classes)
    if run.splits["training"].labels is None or classes < 2:
        raise ValueError("no labelled training images of two classes")
    # Training asks for two images of each, so that more classes cost nobody their memory.
    if classes > sum(map(len, run.splits.values())):
        raise ValueError(f"{classes} classes, and fewer images")


def check_epoch(epoch: EpochReport) -> None:
    """Refuse numbers that no training gives, by a ValueError that names one, or a TypeError."""
    for name, value in asdict(epoch).items():
        is_share = name.endswith("accuracy")  # NaN without validation images
        if not (math.isnan(value) or value <= 1 if is_share else value < math.inf) or value < 0:
            raise ValueError(f"{name} is {value}")


def _epoch(row: dict[str, Any]) -> EpochReport:
    numbers = {name: float(text) for name, text in row.items() if name != "epoch"}
    epoch = EpochReport(int(row["epoch"]), **numbers)
    check_epoch(epoch)
    return epoch


def _damaged(path: Path, reason: str) -> ArtifactError:
    shown = textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...")
    return ArtifactError(f"'{path}' is damaged: {shown}", hint="train again")
