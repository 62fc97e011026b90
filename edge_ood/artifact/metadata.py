"""The artefact's metadata contract, format 2: one JSON document in the ONNX file.

Frozen dataclasses that check themselves, so that scoring needs neither `onnx` nor a validation
library. `edge_ood.artifact.reader` reads them from a file.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.contract import columns
from edge_ood.artifact.device import Device
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess

__all__ = [
    "FORMAT",
    "METADATA_KEY",
    "PRECISIONS",
    "PROBE_IMAGES",
    "STORED_NAMES",
    "ArchivedCalibration",
    "Calibration",
    "HeadRecord",
    "Manifest",
    "Metadata",
    "PackedArray",
    "Probe",
    "store_metadata",
    "unpack_numbers",
    "write_metadata",
]

FORMAT = 2
"""1 had `knots` and `weights` in earlier calibrations, and `knot_weights` in the graph."""

METADATA_KEY = "edge_ood"
PRECISIONS = ("fp32", "fp16", "int8")
"""What a classifier computes in, and `--precision` takes; the first is the default."""

PROBE_IMAGES = 4

STORED_NAMES = {"manual_thresholds": "own_thresholds"}
"""Fields of a calibration that format 2 knows by another name."""

_HASH_BYTES = 6
_COLUMNS_OF_A_HEAD = 3
_MOST_HASHES = 50_000
_MOST_IMAGES = 2**24
"""The graph counts in float32."""

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class HeadRecord:
    """A score head of the artefact and the parameters it was exported with."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibration:
    """How the thresholds came about.

    Attributes:
        alpha: False-alarm rate on ID images, in (0, 1).
        n: Number of calibration images; 0 before the first calibration.
        thresholds: By head; flagged is `not (score <= threshold)`. Where they are per class,
            those of classes without one of their own.
        date: ISO 8601, UTC.
        confidence: Probability over calibration sets with which alpha is held; 0 for on average.
        per_class: Whether alpha is held within predicted classes.
        class_counts: Calibration images by predicted class (K,) if `per_class`, else empty.
        manual_thresholds: Heads whose threshold is the user's and not from images.
        combined: Whether there is a combined score.
        combined_n: Images that its threshold comes from, the second half.
        combined_class_counts: These by predicted class (K,) if `per_class`, else empty.
    """

    alpha: float
    n: int
    thresholds: Mapping[str, float]
    date: str
    confidence: float = 0.0
    per_class: bool = False
    class_counts: tuple[int, ...] = ()
    manual_thresholds: tuple[str, ...] = ()
    combined: bool = False
    combined_n: int = 0
    combined_class_counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.manual_thresholds) <= set(self.thresholds):
            raise InputError(f"manual thresholds of {self.manual_thresholds}, which are no scores")
        if not 0 <= self.n <= _MOST_IMAGES:
            raise InputError(f"calibration with {self.n} images")
        for head, threshold in self.thresholds.items():
            if not abs(threshold) <= _LARGEST_FLOAT32:
                raise InputError(f"threshold {threshold} of {head!r}, expected a float32 number")
        if self.n:
            self.guarantee.check_images(self.n)
        self._check_samples()

    def _check_samples(self) -> None:
        needed = self.guarantee.minimum_images
        least = needed if self.combined and self.n else 0
        if not least <= self.combined_n <= (self.n if least else 0):
            raise InputError(f"a combined score from {self.combined_n} of {self.n} images")
        for sample in (self.sample, self.combined_sample):
            counts = sample.class_counts
            if sum(counts) != (sample.n if self.per_class else 0) or min(counts, default=0) < 0:
                raise InputError(f"calibration images by class {counts}, {sample.n} in all")
            if counts:
                self.guarantee.own_classes(counts)

    @property
    def guarantee(self) -> Guarantee:
        """What the calibration guarantees."""
        return Guarantee(self.alpha, self.confidence, self.per_class, self.combined)

    @property
    def sample(self) -> Sample:
        """The images that the thresholds come from."""
        return Sample(self.n, self.class_counts)

    @property
    def combined_sample(self) -> Sample:
        """The images that the thresholds of the combined score come from."""
        return Sample(self.combined_n, self.combined_class_counts)


@dataclass(frozen=True)
class Manifest:
    """Which images played one role: their number, and the first 6 bytes of content hashes.

    At most 50,000 hashes are kept, those with the smallest value.
    """

    count: int = 0
    hashes: str = ""

    def __post_init__(self) -> None:
        if self.count < 0 or len(_decoded(self.hashes)) % _HASH_BYTES:
            raise InputError("a manifest of image hashes is cut off")

    @classmethod
    def of(cls, content_hashes: Sequence[str]) -> "Manifest":
        """The manifest of images with these hexadecimal hashes."""
        kept = sorted({h[: 2 * _HASH_BYTES] for h in content_hashes})[:_MOST_HASHES]
        packed = base64.b64encode(bytes.fromhex("".join(kept))).decode()
        return cls(len(content_hashes), packed)

    def overlap(self, content_hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Mask (N,) of the images whose hash is in the manifest."""
        packed = _decoded(self.hashes)
        known = {packed[i : i + _HASH_BYTES].hex() for i in range(0, len(packed), _HASH_BYTES)}
        return np.array([h[: 2 * _HASH_BYTES] in known for h in content_hashes], np.bool_)


@dataclass(frozen=True)
class PackedArray:
    """A float32 array as JSON: its shape, and base64 of its values."""

    shape: tuple[int, ...]
    values: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> "PackedArray":
        """Pack an array of numbers that are float32 or small integers."""
        return cls(array.shape, base64.b64encode(array.astype("<f4").tobytes()).decode())

    def unpacked(self) -> NDArray[np.float32]:
        """The array, to the bit.

        Raises:
            InputError: If the values do not fill the shape.
        """
        numbers = unpack_numbers(self.values)
        if min(self.shape, default=0) < 1 or len(numbers) != math.prod(self.shape):
            raise InputError(f"{len(numbers)} numbers do not fill an array of {self.shape}")
        return numbers.reshape(self.shape)


@dataclass(frozen=True)
class Probe:
    """Seeded images and the scores they had where the artefact was calibrated; empty until then.

    Attributes:
        seed: Of the images, see `edge_ood.runtime.probe.probe_images`.
        labels: Predicted class indices.
        scores: By head.
        tolerances: By head; how far a device may be away.
        device: Where they were recorded; unknown in files of earlier versions.
    """

    seed: int
    labels: Sequence[int] = ()
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    device: Device = field(default_factory=Device)

    def check(self, heads: Sequence[str]) -> None:
        """Refuse a probe that does not cover exactly these heads."""
        if not self.labels and not self.scores and not self.tolerances:
            return
        lengths = {len(values) for values in (self.labels, *self.scores.values())}
        if not set(self.scores) == set(self.tolerances) == set(heads) or lengths != {PROBE_IMAGES}:
            raise InputError(f"the probe covers {sorted(self.scores)}, expected {sorted(heads)}")
        if min(self.tolerances.values()) < 0:
            raise InputError(f"probe tolerances {self.tolerances}, expected numbers >= 0")


@dataclass(frozen=True)
class ArchivedCalibration:
    """An earlier calibration with all that it takes to restore it.

    Attributes:
        calibration: As it was in force.
        images: The manifest of its images.
        provider: onnxruntime execution provider that it ran on.
        heads: Names but for `combined`, in the order of the arrays' rows.
        arrays: Those of its `Decision`, by name.
        probe: As it was in force; empty in files of earlier versions, which never changed it.
    """

    calibration: Calibration
    images: Manifest
    provider: str
    heads: tuple[str, ...]
    arrays: Mapping[str, PackedArray]
    probe: Probe = field(default_factory=lambda: Probe(0))

    def __post_init__(self) -> None:
        try:
            decision = self.decision()
            decision.check()
        except InputError as error:
            raise InputError(f"an earlier calibration is damaged: {error}") from error
        if set(decision.outputs) != set(self.calibration.thresholds):
            raise InputError(f"an earlier calibration has knots for {sorted(decision.outputs)}")

    @classmethod
    def of(
        cls, calibration: Calibration, images: Manifest, provider: str, decision: Decision
    ) -> "ArchivedCalibration":
        """Pack a calibration."""
        arrays = {name: PackedArray.of(array) for name, array in decision.to_arrays().items()}
        return cls(calibration, images, provider, decision.heads, arrays)

    @property
    def packed_bytes(self) -> int:
        """How much of a file the arrays take."""
        return sum(len(array.values) for array in self.arrays.values())

    def decision(self) -> Decision:
        """The decision, to the bit.

        Raises:
            InputError: If an array is missing or damaged.
        """
        arrays = {name: packed.unpacked() for name, packed in self.arrays.items()}
        return Decision.from_arrays(self.heads, arrays)


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
            `statistics`, images that fitted statistics in place of unknown training images.
        probe: Reproducible scores.
        parity: Summary of the parity report.
        precision: What the classifier computes in, one of `PRECISIONS`.
        comparison: How a converted classifier differs from its fp32 reference; empty for fp32.
        provider: onnxruntime execution provider that calibrated it.
        provenance: Model, objective, seed and the like.
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
        state.probe.check([head.name for head in self.heads])
        if self.primary not in names:
            raise InputError(f"primary head {self.primary!r} is none of {names!r}")
        if set(calibration.thresholds) != set(names):
            raise InputError(f"thresholds for {sorted(calibration.thresholds)}, not {names!r}")
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


def unpack_numbers(text: str) -> NDArray[np.float32]:
    """Float32 numbers from base64.

    Raises:
        InputError: If the text is damaged.
    """
    packed = _decoded(text)
    if len(packed) % np.dtype(np.float32).itemsize:
        raise InputError("an array of numbers is cut off")
    return np.frombuffer(packed, "<f4").astype(np.float32)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError(f"base64 is damaged: {error}") from error
