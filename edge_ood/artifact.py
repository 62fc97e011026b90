"""The artefact's metadata contract, format 1: one JSON document in the ONNX file.

Read from an onnxruntime session into frozen dataclasses that check themselves, so that scoring
needs neither `onnx` nor a validation library. Everything in a file is untrusted until it passed
through here.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.threshold import Knots, minimum_images
from edge_ood.errors import ArtifactError, EdgeOodError, InputError
from edge_ood.preprocess import Preprocess

__all__ = [
    "FORMAT",
    "METADATA_KEY",
    "PROBE_IMAGES",
    "Calibration",
    "HeadRecord",
    "Manifest",
    "Metadata",
    "Probe",
    "read_metadata",
    "store_metadata",
    "write_metadata",
]

FORMAT = 1
METADATA_KEY = "edge_ood"
PROBE_IMAGES = 4
_HASH_BYTES = 6
_MOST_HASHES = 50_000
_T = TypeVar("_T")


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
        thresholds: By head; flagged is `not (score <= threshold)`.
        date: ISO 8601, UTC.
        knots: By head, base64 of float32 values; kept only for earlier calibrations (the current
            ones stand in the graph), so that `calibrate --undo` can restore them.
        weights: Base64 of the float32 knot weights, likewise.
    """

    alpha: float
    n: int
    thresholds: Mapping[str, float]
    date: str
    knots: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""

    def __post_init__(self) -> None:
        minimum_images(self.alpha)
        if self.n < 0 or not all(math.isfinite(t) for t in self.thresholds.values()):
            raise InputError(f"calibration with n = {self.n} and thresholds {self.thresholds}")

    def archived(self, knots: Mapping[str, Knots]) -> "Calibration":
        """The same with its knots (by head), as it goes into the history."""
        packed = {name: _pack(k.values) for name, k in knots.items()}
        return replace(self, knots=packed, weights=_pack(next(iter(knots.values())).weights))

    def restored_knots(self) -> dict[str, Knots]:
        """The knots of an archived calibration, by head."""
        weights = _unpack(self.weights)
        return {
            name: Knots(_unpack(text), weights, self.thresholds[name], self.n)
            for name, text in self.knots.items()
        }


@dataclass(frozen=True)
class Manifest:
    """Which images played one role: their number, and the first 6 bytes of content hashes.

    At most 50,000 hashes are kept, those with the smallest value.
    """

    count: int = 0
    hashes: str = ""

    @classmethod
    def of(cls, content_hashes: Sequence[str]) -> "Manifest":
        """The manifest of images with these hexadecimal hashes."""
        kept = sorted({h[: 2 * _HASH_BYTES] for h in content_hashes})[:_MOST_HASHES]
        packed = base64.b64encode(bytes.fromhex("".join(kept))).decode()
        return cls(len(content_hashes), packed)

    def overlap(self, content_hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Mask (N,) of the images whose hash is in the manifest."""
        packed = base64.b64decode(self.hashes)
        known = {packed[i : i + _HASH_BYTES].hex() for i in range(0, len(packed), _HASH_BYTES)}
        return np.array([h[: 2 * _HASH_BYTES] in known for h in content_hashes], np.bool_)


@dataclass(frozen=True)
class Probe:
    """Seeded images and the scores they had where the artefact was made.

    Attributes:
        seed: Of the images, see `edge_ood.runtime.probe_images`.
        labels: Predicted class indices.
        scores: By head.
        tolerances: By head; how far a device may be away.
    """

    seed: int
    labels: Sequence[int] = ()
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def check(self, heads: Sequence[str]) -> None:
        """Refuse a probe that does not cover exactly these heads; an empty one is not made yet."""
        lengths = {len(values) for values in self.scores.values()}
        complete = set(self.scores) == set(self.tolerances) == set(heads)
        if self.labels and not (complete and lengths == {len(self.labels)} == {PROBE_IMAGES}):
            raise InputError(f"the probe covers {sorted(self.scores)}, expected {sorted(heads)}")


@dataclass(frozen=True)
class Metadata:
    """Everything an artefact says about itself.

    Attributes:
        classes: K class names.
        preprocess: What stands between a decoded frame and the network.
        heads: The score heads, in output order.
        primary: The head behind `pvalue` and `is_ood`.
        calibration: The thresholds in force.
        manifests: By role: `training`, `outliers`, `calibration`.
        probe: Reproducible scores.
        parity: Summary of the parity report.
        precision: `fp32`.
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
    provider: str = "cpu"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Calibration, ...] = ()
    version: str = ""

    def __post_init__(self) -> None:
        names = self.head_names
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"{len(self.classes)} class names, expected 2 or more, all different")
        if not names or len(set(names)) != len(names):
            raise InputError(f"score heads {names!r}, expected one or more, all different")
        if self.primary not in names:
            raise InputError(f"primary head {self.primary!r} is none of {names!r}")
        self.probe.check(names)
        for calibration in (self.calibration, *self.history):
            if set(calibration.thresholds) != set(names):
                raise InputError(f"thresholds for {sorted(calibration.thresholds)}, not {names!r}")

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the score heads, in output order."""
        return tuple(head.name for head in self.heads)


def store_metadata(model: Any, metadata: Metadata) -> None:
    """Put the metadata into an `onnx.ModelProto`, in place of what it had."""
    kept = [p for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=write_metadata(metadata))


def write_metadata(metadata: Metadata) -> str:
    """The JSON document of the metadata; `read_metadata` reads it back to an equal object."""
    return json.dumps({"format": FORMAT, **asdict(metadata)}, ensure_ascii=False, allow_nan=False)


def read_metadata(properties: Mapping[str, str], *, source: str) -> Metadata:
    """Read and check the metadata of an ONNX file; unknown keys are ignored.

    Args:
        properties: The file's custom metadata.
        source: What messages call the file.

    Raises:
        ArtifactError: If the file is not ours, too new or damaged.
    """
    if METADATA_KEY not in properties:
        raise ArtifactError(
            f"'{source}' is an ONNX file, but not an edge-ood artefact",
            hint="make one with 'edge-ood export RUN'",
        )
    try:
        document = _Document(json.loads(properties[METADATA_KEY]))
        _check_format(document, source)
        return _metadata(document)
    except (EdgeOodError, ValueError, RecursionError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(
            f"the metadata of '{source}' is damaged: {error}", hint="export it again"
        ) from error


class _Document:
    """A JSON object whose fields are taken out by type."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise InputError(f"expected an object, got {type(value).__name__}")
        self._fields: dict[str, Any] = value

    def get(self, name: str, kind: type[_T], default: _T | None = None) -> _T:
        value = self._fields.get(name, default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)  # type: ignore[assignment]  # kind is float
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            got = type(value).__name__ if name in self._fields else "nothing"
            raise InputError(f"{name!r} should be a {kind.__name__}, got {got}")
        return value

    def document(self, name: str) -> "_Document":
        return _Document(self.get(name, dict))

    def documents(self, name: str, default: list[Any] | None = None) -> "list[_Document]":
        return [_Document(item) for item in self.get(name, list, default)]

    def each(self, name: str, kind: type[_T]) -> list[_T]:
        items = _Document({str(i): item for i, item in enumerate(self.get(name, list))})
        return [items.get(key, kind) for key in items._fields]

    def mapping(self, name: str, kind: type[_T]) -> dict[str, _T]:
        inner = self.document(name)
        return {key: inner.get(key, kind) for key in inner._fields}


def _check_format(document: _Document, source: str) -> None:
    number = document.get("format", int)
    if number > FORMAT:
        version = document.get("version", str, "a newer version")
        raise ArtifactError(
            f"'{source}' has artefact format {number}, this edge-ood reads formats 1-{FORMAT}",
            hint=f"pip install --upgrade 'edge-ood>={version}'",
        )


def _metadata(document: _Document) -> Metadata:
    manifests = document.document("manifests")
    return Metadata(
        classes=tuple(document.each("classes", str)),
        preprocess=Preprocess.from_json(document.get("preprocess", dict)),
        heads=tuple(
            HeadRecord(head.get("name", str), head.get("parameters", dict))
            for head in document.documents("heads")
        ),
        primary=document.get("primary", str),
        calibration=_calibration(document.document("calibration")),
        manifests={
            role: _manifest(manifests.document(role)) for role in document.get("manifests", dict)
        },
        probe=_probe(document.document("probe")),
        parity=document.get("parity", dict),
        precision=document.get("precision", str),
        provider=document.get("provider", str),
        provenance=document.get("provenance", dict),
        history=tuple(_calibration(item) for item in document.documents("history")),
        version=document.get("version", str),
    )


def _calibration(document: _Document) -> Calibration:
    return Calibration(
        alpha=document.get("alpha", float),
        n=document.get("n", int),
        thresholds=document.mapping("thresholds", float),
        date=document.get("date", str),
        knots=document.mapping("knots", str),
        weights=document.get("weights", str),
    )


def _manifest(document: _Document) -> Manifest:
    manifest = Manifest(document.get("count", int), document.get("hashes", str))
    if len(base64.b64decode(manifest.hashes, validate=True)) % _HASH_BYTES:
        raise InputError("a manifest of image hashes is cut off")
    return manifest


def _probe(document: _Document) -> Probe:
    scores = document.document("scores")
    return Probe(
        seed=document.get("seed", int),
        labels=document.each("labels", int),
        scores={name: scores.each(name, float) for name in document.get("scores", dict)},
        tolerances=document.mapping("tolerances", float),
    )


def _pack(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpack(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
