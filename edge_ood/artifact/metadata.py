"""The artefact's metadata contract, format 3: one JSON document in the ONNX file.

Frozen dataclasses that check themselves, so that scoring needs neither `onnx` nor a validation
library. `edge_ood.artifact.reader` reads them from a file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_ood.artifact.calibration_record import ArchivedCalibration, Calibration, Probe
from edge_ood.artifact.contract import columns
from edge_ood.artifact.packed import Manifest
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.temperature import check_temperature
from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess

__all__ = [
    "FORMAT",
    "METADATA_KEY",
    "PRECISIONS",
    "STORED_NAMES",
    "HeadRecord",
    "Metadata",
    "store_metadata",
    "write_metadata",
]

FORMAT = 3
"""1 had `knots` and `weights` in earlier calibrations, and `knot_weights` in the graph; 1 and 2
had no crop share, which was 1, and no interpolation, which was bilinear."""

METADATA_KEY = "edge_ood"
PRECISIONS = ("fp32", "fp16", "int8")
"""What a classifier computes in, and `--precision` takes; the first is the default."""

STORED_NAMES = {"manual_thresholds": "own_thresholds"}
"""Fields of a calibration that the file knows by another name."""

_COLUMNS_OF_A_HEAD = 3


@dataclass(frozen=True)
class HeadRecord:
    """A score head of the artefact and the parameters it was exported with."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metadata:
    """Everything an artefact says about itself.

    Attributes:
        classes: K class names.
        preprocess: What stands between a decoded frame and the network.
        heads: The score heads, in output order; `combined`, made of them, is none.
        primary: The head behind `pvalue` and `is_ood`, or `combined`.
        calibration: The thresholds in force.
        manifests: By role: `training`, `pretraining`, `outliers`, `unlabelled`, `calibration`; and
            `statistics`, images that fitted statistics in place of training images.
        probe: Reproducible scores.
        parity: Summary of the parity report.
        precision: What the classifier computes in, one of `PRECISIONS`.
        comparison: How a converted classifier differs from its fp32 reference; empty for fp32.
        provider: onnxruntime execution provider that calibrated it.
        provenance: Model, objective, seed and the like.
        temperature: The class probabilities are `softmax(logits / temperature)`; 1 in files of
            earlier versions.
        history: Earlier calibrations, oldest first.
        version: edge-ood that wrote it.
    """

    classes: tuple[str, ...]
    preprocess: Preprocess
    heads: tuple[HeadRecord, ...]
    primary: str
    calibration: Calibration
    manifests: Mapping[str, Manifest]
    probe: Probe
    parity: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    comparison: Mapping[str, Any] = field(default_factory=dict)
    provider: str = "cpu"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[ArchivedCalibration, ...] = ()
    version: str = ""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        names = self.head_names
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"{len(self.classes)} class names, expected 2 or more, all different")
        # A head called like another column would stand in its place.
        distinct = len(set(columns(names))) == len(columns(())) + _COLUMNS_OF_A_HEAD * len(names)
        if not names or not all(map(str.isidentifier, names)) or not distinct:
            raise InputError(f"score heads {names!r}, expected one or more words, all different")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        check_temperature(self.temperature)
        self._check_state(self)
        for past in self.history:
            self._check_state(past)
            groups = [array for name, array in past.arrays.items() if name.endswith("groups")]
            if any(array.shape != (len(self.classes),) for array in groups):
                raise InputError("an earlier calibration is damaged: it has other classes")

    def _check_state(self, state: "Metadata | ArchivedCalibration") -> None:
        """A calibration, in force or earlier, with the probe of its time."""
        calibration = state.calibration
        names = self._names(calibration)
        state.probe.check([head.name for head in self.heads], names)
        if self.primary not in names:
            raise InputError(f"primary head {self.primary!r} is none of {names!r}")
        if set(calibration.thresholds) != set(names):
            raise InputError(f"thresholds for {sorted(calibration.thresholds)}, not {names!r}")
        calibration.guarantee.members([head.name for head in self.heads])
        for sample in (calibration.sample, calibration.combined_sample):
            if len(sample.class_counts) not in (0, len(self.classes)):
                raise InputError(f"images of {len(sample.class_counts)} classes are counted")

    def _names(self, calibration: Calibration) -> tuple[str, ...]:
        combined = (COMBINED,) if calibration.combined else ()
        return (*(head.name for head in self.heads), *combined)

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the scores in output order: the heads, and `combined` if there is one."""
        return self._names(self.calibration)


def store_metadata(model: Any, metadata: Metadata) -> None:
    """Put the metadata into an `onnx.ModelProto`, in place of what it had."""
    kept = [p for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=write_metadata(metadata))


def write_metadata(metadata: Metadata) -> str:
    """The JSON document of the metadata; `read_metadata` reads it back to an equal object."""
    document = {"format": FORMAT, **asdict(metadata)}
    for state in (document, *document["history"]):
        state["calibration"] = {
            STORED_NAMES.get(name, name): value for name, value in state["calibration"].items()
        }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)
