"""From `classifier.onnx` to a calibrated, verified artefact: one pipeline for every classifier.

fit        statistics of the heads, through onnxruntime, in one pass over the images
assemble   classifier + preprocessing + heads + decision, as one graph
calibrate  thresholds and p-values, through the assembled file
verify     the parity gate, on the assembled file
write      probe and report into the metadata, then the file under its final name
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact import Calibration, HeadRecord, Manifest, Metadata, Probe, store_metadata
from edge_ood.calibrate import CalibrationReport, calibrate_artifact
from edge_ood.calibration.threshold import minimum_images, threshold_rank
from edge_ood.errors import DataError, InputError
from edge_ood.graph.assemble import FEATURES_PREFIX, INPUT_NAME, assemble, assemble_reader
from edge_ood.images import DecodedImage, ImageSet, decode_stream, halves_by_hash
from edge_ood.output import atomic_output
from edge_ood.parity import ParityReport, Reference, Subject, verify
from edge_ood.preprocess import Preprocess
from edge_ood.probe import make_probe
from edge_ood.registry import Spec, bind_parameters
from edge_ood.runtime import Scorer
from edge_ood.scores import HEADS, BoundHead, Outputs, ScoreHead
from edge_ood.session import open_session

__all__ = [
    "STATISTICS_SOURCES",
    "STEPS",
    "Attached",
    "Draft",
    "Options",
    "Request",
    "attach",
    "default_heads",
]

STATISTICS_SOURCES = ("training", "calibration")
_BATCH = 64
_PARITY_IMAGES = 64


@dataclass(frozen=True)
class Options:
    """What a user chooses about an artefact.

    Attributes:
        heads: Score heads with parameters as text; empty for every closed-form head that the
            classifier has inputs for.
        primary: The head behind `pvalue` and `is_ood`.
        alpha: False-alarm rate on ID images.
        statistics: `training`, or `calibration`: one half of those images, by hash, fits the
            statistics and the other half sets the thresholds.
        provider: `auto`, `cpu` or `cuda`.

    Raises:
        UnknownNameError: If a head or parameter does not exist; the hint has the closest.
        InputError: If a value is out of range, or the primary head is not among the heads.
    """

    heads: Sequence[Spec] = ()
    primary: str = "energy"
    alpha: float = 0.05
    statistics: str = "training"
    provider: str = "auto"

    def __post_init__(self) -> None:
        minimum_images(self.alpha)
        names = [_bind(spec)[0].name for spec in self.heads] or HEADS.names()
        if len(set(names)) != len(names):
            raise InputError(f"scores {', '.join(names)} name a head twice")
        if self.primary not in names:
            HEADS.get(self.primary)
            raise InputError(
                f"primary head {self.primary!r} is not among the scores {', '.join(names)}",
                hint=f"add it to --scores, or pass --primary {names[0]}",
            )
        if self.statistics not in STATISTICS_SOURCES:
            raise InputError(
                f"statistics from {self.statistics!r}, expected training or calibration"
            )


@dataclass(frozen=True)
class Request:
    """What to attach to which classifier.

    Attributes:
        classifier: As `edge_ood.graph.assemble` describes it.
        reference: The same classifier in float64 and float32, for the parity gate.
        preprocess: From decoded pixels to network input.
        classes: K class names.
        training: Labelled training images; statistics and parity images come from them.
        calibration: ID images for thresholds; labelled if statistics come from them, too.
        options: What the user chose.
        outlier_hashes: Content hashes of auxiliary outliers, for the manifest.
        provenance: Model, objective, seed and the like, for the metadata.
    """

    classifier: onnx.ModelProto
    reference: Reference
    preprocess: Preprocess
    classes: tuple[str, ...]
    training: ImageSet
    calibration: ImageSet
    options: Options = field(default_factory=Options)
    outlier_hashes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """An artefact in the making: what the steps have found out so far."""

    request: Request
    path: Path
    heads: tuple[BoundHead, ...] = ()
    thresholds_from: ImageSet = field(default_factory=lambda: ImageSet(()))
    training_hashes: tuple[str, ...] = ()
    calibration: CalibrationReport | None = None
    parity: ParityReport | None = None


@dataclass(frozen=True)
class Attached:
    """A finished artefact: where it is, how it was calibrated, and how close it is."""

    path: Path
    metadata: Metadata
    parity: ParityReport


def default_heads(classifier: onnx.ModelProto) -> list[Spec]:
    """Every closed-form head whose inputs the classifier gives, in name order."""
    given = {o.name.split("/")[0] for o in classifier.graph.output}
    heads = [HEADS.get(name) for name in HEADS.names()]
    return [Spec(h.name) for h in heads if set(h.inputs) <= given and h.perturbation is None]


def attach(
    request: Request, output: Path, *, on_step: Callable[[str], None] = lambda name: None
) -> Attached:
    """Run all steps; nothing is left at `output` unless every one succeeds.

    Args:
        request: What to attach to which classifier.
        output: Where the artefact goes; an existing file is replaced.
        on_step: Called with each step's name before it starts.

    Raises:
        CalibrationError: If statistics or thresholds cannot be estimated.
        ExportError: If a head does not fit the classifier, or the parity gate fails.
        DataError: If an image cannot be read, or the file cannot be written.
    """
    with atomic_output(output) as temporary:
        draft = Draft(request, temporary)
        for name, step in STEPS:
            on_step(name)
            draft = step(draft)
    assert draft.parity is not None  # the last step but one sets it
    return Attached(
        output, Scorer(output, provider=request.options.provider).metadata, draft.parity
    )


def fit(draft: Draft) -> Draft:
    """Bind parameters and fit statistics; decide which images set the thresholds."""
    request = draft.request
    specs = request.options.heads or default_heads(request.classifier)
    bound = {spec.name: _bind(spec) for spec in specs}
    images, thresholds_from = _statistics_images(request)
    threshold_rank(len(thresholds_from), request.options.alpha)
    accumulators = {
        name: head.fit(len(request.classes), **parameters)
        for name, (head, parameters) in bound.items()
        if head.fit
    }
    if accumulators:
        _fit_stream(request, images, list(accumulators.values()))
    heads = tuple(
        BoundHead(head, parameters, accumulators[name].finish() if name in accumulators else {})
        for name, (head, parameters) in bound.items()
    )
    hashes = request.training.hashes or _hashes(request.training, request.preprocess)
    return replace(draft, heads=heads, thresholds_from=thresholds_from, training_hashes=hashes)


def assemble_file(draft: Draft) -> Draft:
    """Write the uncalibrated artefact."""
    request = draft.request
    model = assemble(
        request.classifier, request.preprocess, draft.heads, primary=request.options.primary
    )
    unknown = Calibration(
        request.options.alpha, n=0, thresholds={h.name: 0.0 for h in draft.heads}, date=""
    )
    metadata = Metadata(
        classes=request.classes,
        preprocess=request.preprocess,
        heads=tuple(HeadRecord(h.name, h.parameters) for h in draft.heads),
        primary=request.options.primary,
        calibration=unknown,
        manifests={
            "training": Manifest.of(draft.training_hashes),
            "outliers": Manifest.of(request.outlier_hashes),
        },
        probe=Probe(int(request.provenance.get("seed", 0))),
        provenance={"statistics": request.options.statistics, **request.provenance},
        version=version("edge-ood"),
    )
    store_metadata(model, metadata)
    onnx.save(model, draft.path)
    return draft


def calibrate(draft: Draft) -> Draft:
    """Set thresholds and p-values through the file."""
    report = calibrate_artifact(
        draft.path, draft.thresholds_from.paths, provider=draft.request.options.provider
    )
    return replace(draft, calibration=report)


def check_parity(draft: Draft) -> Draft:
    """Hold the file against its reference."""
    assert draft.calibration is not None  # an earlier step
    request = draft.request
    subject = Subject(request.preprocess, draft.heads, draft.calibration.knots)
    images = _parity_images(request)
    report = verify(
        draft.path, subject, request.reference, images, provider=request.options.provider
    )
    return replace(draft, parity=report)


def write(draft: Draft) -> Draft:
    """Add probe and parity report to the metadata."""
    assert draft.calibration is not None  # earlier steps
    assert draft.calibration.scores is not None
    assert draft.parity is not None
    scorer = Scorer(draft.path, provider=draft.request.options.provider)
    probe = make_probe(scorer, draft.calibration.scores, scorer.metadata.probe.seed)
    metadata = replace(scorer.metadata, probe=probe, parity=draft.parity.to_json())
    model = onnx.load(draft.path)
    store_metadata(model, metadata)
    onnx.save(model, draft.path)
    return draft


STEPS: tuple[tuple[str, Callable[[Draft], Draft]], ...] = (
    ("fit", fit),
    ("assemble", assemble_file),
    ("calibrate", calibrate),
    ("verify", check_parity),
    ("write", write),
)


def _bind(spec: Spec) -> tuple[ScoreHead, dict[str, Any]]:
    head: ScoreHead = HEADS.get(spec.name)
    parameters = bind_parameters(head.score, spec.parameters, owner=f"score head {head.name!r}")
    return head, parameters


def _statistics_images(request: Request) -> tuple[ImageSet, ImageSet]:
    """Which images fit statistics, and which set thresholds."""
    if request.options.statistics == "training":
        return request.training, request.calibration
    if request.calibration.labels is None:
        raise InputError(
            "statistics from calibration images need their labels",
            hint="arrange them as CALIBRATION/<class>/<file>, or use --statistics training",
        )
    hashes = request.calibration.hashes or _hashes(request.calibration, request.preprocess)
    first = halves_by_hash(hashes)
    return request.calibration.subset(first), request.calibration.subset(~first)


def _fit_stream(request: Request, images: ImageSet, accumulators: Sequence[Any]) -> None:
    reader = assemble_reader(request.classifier, request.preprocess)
    session = open_session(reader.SerializeToString(), provider=request.options.provider)
    names = [output.name for output in session.get_outputs()]
    assert images.labels is not None  # training images are labelled, others were checked
    decoded = _decoded(images.paths, request.preprocess)
    for start in range(0, len(images), _BATCH):
        labels = images.labels[start : start + _BATCH]
        batch = np.stack([next(decoded).pixels for _ in labels])
        outputs = _outputs(dict(zip(names, session.run(names, {INPUT_NAME: batch}), strict=True)))
        for accumulator in accumulators:
            accumulator.update(outputs, labels)


def _outputs(arrays: Mapping[str, NDArray[np.float32]]) -> Outputs:
    features = {
        name.removeprefix(FEATURES_PREFIX): array
        for name, array in arrays.items()
        if name.startswith(FEATURES_PREFIX)
    }
    return Outputs(arrays["logits"], arrays.get("logits_pair"), features)


def _decoded(paths: Sequence[Path], preprocess: Preprocess) -> Iterator[DecodedImage]:
    for item in decode_stream(paths, preprocess):
        if isinstance(item, DataError):
            raise item
        yield item


def _hashes(images: ImageSet, preprocess: Preprocess) -> tuple[str, ...]:
    return tuple(item.content_hash for item in _decoded(images.paths, preprocess))


def _parity_images(request: Request) -> dict[str, NDArray[np.uint8]]:
    """Training images spread evenly over the set, so that every class is likely among them."""
    paths = request.training.paths
    step = max(1, len(paths) // _PARITY_IMAGES)
    chosen = paths[::step][:_PARITY_IMAGES]
    decoded = _decoded(chosen, request.preprocess)
    return {str(path): item.pixels for path, item in zip(chosen, decoded, strict=True)}
