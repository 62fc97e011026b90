"""From `classifier.onnx` to a calibrated, verified artefact: one pipeline for every classifier.

simplify   the classifier alone, which stays the same function
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
from edge_ood.calibration.threshold import threshold_rank
from edge_ood.errors import DataError, InputError
from edge_ood.graph.assemble import assemble, assemble_reader
from edge_ood.graph.network import INPUT_NAME
from edge_ood.graph.simplify import simplify
from edge_ood.images import DecodedImage, ImageSet, decode_stream, halves_by_hash
from edge_ood.output import atomic_output
from edge_ood.parity import ParityReport, verify
from edge_ood.parity_limits import Subject
from edge_ood.preprocess import Preprocess
from edge_ood.probe import make_probe
from edge_ood.request import Request, bind_head, default_heads
from edge_ood.runtime import Scorer
from edge_ood.scores import BoundHead, Outputs
from edge_ood.session import open_session
from edge_ood.tune import evenly_spread, tune

__all__ = ["STEPS", "Attached", "Draft", "attach"]

_BATCH = 64
_PARITY_IMAGES = 64


@dataclass(frozen=True)
class Draft:
    """An artefact in the making: what the steps have found out so far."""

    request: Request
    path: Path
    heads: tuple[BoundHead, ...] = ()
    thresholds_from: ImageSet = field(default_factory=lambda: ImageSet(()))
    training_hashes: tuple[str, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)
    calibration: CalibrationReport | None = None
    parity: ParityReport | None = None


@dataclass(frozen=True)
class Attached:
    """A finished artefact: where it is, how it was calibrated, and how close it is."""

    path: Path
    metadata: Metadata
    parity: ParityReport


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


def simplify_classifier(draft: Draft) -> Draft:
    """Leave the classifier less to compute; the parity gate compares with it as it came."""
    lighter = simplify(draft.request.classifier)
    return replace(draft, request=replace(draft.request, classifier=lighter))


def fit(draft: Draft) -> Draft:
    """Bind parameters and fit statistics; decide which images set the thresholds."""
    request = draft.request
    specs = request.options.heads or default_heads(request.classifier)
    bound = [bind_head(spec) for spec in specs]
    images, thresholds_from = _statistics_images(request)
    threshold_rank(len(thresholds_from), request.options.alpha)
    accumulators = {
        head.name: head.head.fit(len(request.classes), **head.parameters)
        for head in bound
        if head.head.fit
    }
    if accumulators:
        _fit_stream(request, images, list(accumulators.values()))
    heads = tuple(
        replace(head, statistics=accumulators[head.name].finish())
        if head.name in accumulators
        else head
        for head in bound
    )
    hashes = request.training.hashes or _hashes(request.training, request.preprocess)
    return replace(draft, heads=heads, thresholds_from=thresholds_from, training_hashes=hashes)


def choose_parameters(draft: Draft) -> Draft:
    """Choose epsilon and layer weights on training images."""
    tuning = tune(draft.request, draft.heads)
    return replace(draft, heads=tuning.heads, choices=tuning.choices)


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
            "outliers": Manifest.of(request.outliers.hashes),
            **{role: Manifest.of(i.hashes) for role, i in request.others.items() if len(i)},
        },
        probe=Probe(int(request.provenance.get("seed", 0))),
        provenance={
            "statistics": request.options.statistics,
            **request.provenance,
            **({"choices": draft.choices} if draft.choices else {}),
        },
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
    ("simplify", simplify_classifier),
    ("fit", fit),
    ("tune", choose_parameters),
    ("assemble", assemble_file),
    ("calibrate", calibrate),
    ("verify", check_parity),
    ("write", write),
)


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
        arrays = session.run(names, {INPUT_NAME: batch})
        outputs = Outputs.from_named(dict(zip(names, arrays, strict=True)))
        for accumulator in accumulators:
            accumulator.update(outputs, labels)


def _decoded(paths: Sequence[Path], preprocess: Preprocess) -> Iterator[DecodedImage]:
    for item in decode_stream(paths, preprocess):
        if isinstance(item, DataError):
            raise item
        yield item


def _hashes(images: ImageSet, preprocess: Preprocess) -> tuple[str, ...]:
    return tuple(item.content_hash for item in _decoded(images.paths, preprocess))


def _parity_images(request: Request) -> dict[str, NDArray[np.uint8]]:
    """Training images spread evenly over the set, so that every class is likely among them."""
    chosen = evenly_spread(request.training, _PARITY_IMAGES).paths
    decoded = _decoded(chosen, request.preprocess)
    return {str(path): item.pixels for path, item in zip(chosen, decoded, strict=True)}
