"""From `classifier.onnx` to a calibrated, verified artefact: one pipeline for every classifier.

simplify   the classifier alone, which stays the same function
convert    to fewer bits, if asked for; all that follows is about the converted classifier
fit        statistics of the heads, through onnxruntime, in one pass over the images
assemble   classifier + preprocessing + heads + decision, as one graph
calibrate  thresholds, p-values and probe, through the assembled file
verify     the parity gate, on the assembled file
compare    a converted file with its float32 twin, which goes the same way
write      a summary of the report into the metadata, then file and report under their final names
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact.metadata import (
    Calibration,
    HeadRecord,
    Manifest,
    Metadata,
    Probe,
    store_metadata,
)
from edge_ood.attachment.request import Options, Request
from edge_ood.attachment.tune import tune
from edge_ood.calibration.combination import COMBINED
from edge_ood.errors import DataError, ExportError, InputError
from edge_ood.files.output import atomic_output, report_path
from edge_ood.files.paths import shown_path
from edge_ood.graph.assemble import assemble, assemble_reader
from edge_ood.graph.network import INPUT_NAME
from edge_ood.graph.precision import INT8_TARGETS, quantised, with_float16
from edge_ood.graph.simplify import simplify
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import DecodedImage, decode_all, decode_stream, with_hashes
from edge_ood.images.splits import evenly_spread, halves_by_hash
from edge_ood.onnx_session import open_session
from edge_ood.parity.comparison import Comparison, compare
from edge_ood.parity.gate import ParityReport, extremes, verify
from edge_ood.parity.gradient_check import GradientReport, check_gradient
from edge_ood.parity.limits import Subject
from edge_ood.parity.report import parity_document, write_report
from edge_ood.runtime.calibrate import CalibrationReport, calibrate_artifact
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import BoundHead, Outputs, bind_head, default_heads

__all__ = ["STEPS", "Attached", "Draft", "attach", "steps_for"]

_BATCH = 64
_RANGE_IMAGES, _COMPARED_IMAGES = 256, 512
_OF_CONVERSION = ("convert", "compare")
_LEAST_RANK_CORRELATION = 0.99
"""Of scores along a gradient with those in float32; the gate cannot see how an image was moved."""


@dataclass(frozen=True)
class Draft:
    """An artefact in the making: what the steps have found out so far.

    Attributes:
        twin: What was asked for, but in float32; None unless the classifier is converted.
    """

    request: Request
    path: Path
    heads: tuple[BoundHead, ...] = ()
    thresholds_from: ImageSet = field(default_factory=lambda: ImageSet(()))
    training_hashes: tuple[str, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)
    calibration: CalibrationReport | None = None
    parity: ParityReport | None = None
    parity_hashes: Mapping[str, str] = field(default_factory=dict)
    twin: Request | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Attached:
    """A finished artefact: where it is, how it was calibrated, and how close it is to what."""

    path: Path
    metadata: Metadata
    parity: ParityReport
    comparison: Comparison | None = None


def attach(
    request: Request, output: Path, *, on_step: Callable[[str], None] = lambda name: None
) -> Attached:
    """Run all steps; nothing is left at `output` unless every one succeeds.

    Args:
        request: What to attach to which classifier.
        output: Where the artefact goes, and beside it the parity report; existing files are
            replaced.
        on_step: Called with each step's name before it starts.

    Raises:
        CalibrationError: If statistics or thresholds cannot be estimated.
        ExportError: If a head does not fit the classifier, or the parity gate fails.
        DataError: If an image cannot be read, or the file cannot be written.
    """
    with atomic_output(report_path(output)) as report, atomic_output(output) as temporary:
        draft = Draft(request, temporary)
        for name, step in steps_for(request.options):
            on_step(name)
            draft = step(draft)
        assert draft.parity is not None  # the last step but one sets it
        metadata = Scorer(temporary, provider=request.options.provider).metadata
        document = parity_document(draft.parity, metadata, draft.parity_hashes, temporary)
        write_report(report, document)
    return Attached(output, metadata, draft.parity, draft.comparison)


def simplify_classifier(draft: Draft) -> Draft:
    """Leave the classifier less to compute; the parity gate compares with it as it came."""
    lighter = simplify(draft.request.classifier)
    return replace(draft, request=replace(draft.request, classifier=lighter))


def convert(draft: Draft) -> Draft:
    """Put the classifier into the precision that was asked for, and remember it in float32."""
    request = draft.request
    options = request.options
    if options.precision == "fp16":
        converted = with_float16(request.classifier)
    else:
        images = _ranging_input(request)
        converted = quantised(request.classifier, images, INT8_TARGETS[_int8_target(options)])
    float32 = replace(options, precision="fp32", int8_target=None, max_label_flips=None)
    return replace(
        draft,
        request=replace(request, classifier=converted),
        twin=replace(request, options=float32),
    )


def fit(draft: Draft) -> Draft:
    """Bind parameters and fit statistics; decide which images set the thresholds."""
    request = draft.request
    given = [output.name for output in request.classifier.graph.output]
    bound = request.options.bound_heads or tuple(map(bind_head, default_heads(given)))
    images, thresholds_from = _statistics_images(request)
    request.options.guarantee.check_images(len(thresholds_from))
    accumulators = {
        head.name: accumulator
        for head in bound
        for accumulator in [head.accumulator(len(request.classes))]
        if accumulator is not None
    }
    if accumulators:
        _fit_stream(request, images, list(accumulators.values()))
    heads = tuple(
        replace(head, statistics=accumulators[head.name].finish())
        if head.name in accumulators
        else head
        for head in bound
    )
    hashes = with_hashes(request.training).hashes
    return replace(draft, heads=heads, thresholds_from=thresholds_from, training_hashes=hashes)


def choose_parameters(draft: Draft) -> Draft:
    """Choose epsilon and layer weights on training images."""
    tuning = tune(draft.request, draft.heads)
    return replace(draft, heads=tuning.heads, choices=tuning.choices)


def assemble_file(draft: Draft) -> Draft:
    """Write the uncalibrated artefact."""
    request, options = draft.request, draft.request.options
    combined = options.guarantee.combined
    model = assemble(
        request.classifier,
        request.preprocess,
        draft.heads,
        primary=options.primary,
        combined=combined,
    )
    names = [*(head.name for head in draft.heads), *[COMBINED] * combined]
    unknown = Calibration(
        **asdict(options.guarantee),
        n=0,
        thresholds=dict.fromkeys(names, 0.0),
        date="",
    )
    metadata = Metadata(
        classes=request.classes,
        preprocess=request.preprocess,
        heads=tuple(HeadRecord(h.name, h.parameters) for h in draft.heads),
        primary=options.primary,
        calibration=unknown,
        manifests={
            request.training_role: Manifest.of(draft.training_hashes),
            "outliers": Manifest.of(request.outliers.hashes),
            **{role: Manifest.of(i.hashes) for role, i in request.others.items() if len(i)},
        },
        probe=Probe(int(request.provenance.get("seed", 0))),
        precision=options.precision,
        provenance={
            "statistics": options.statistics,
            **request.provenance,
            **({"int8_target": _int8_target(options)} if options.precision == "int8" else {}),
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
    subject = Subject(request.preprocess, draft.heads, draft.calibration.decision)
    decoded = _parity_images(request)
    images = {name: item.pixels for name, item in decoded.items()}
    reference = None if draft.twin else request.reference
    report = verify(draft.path, subject, reference, images, provider=request.options.provider)
    gradients = tuple(_checked_gradients(draft, images)) if reference else ()
    hashes = {name: item.content_hash for name, item in decoded.items()}
    return replace(draft, parity=replace(report, gradients=gradients), parity_hashes=hashes)


def compare_with_twin(draft: Draft) -> Draft:
    """Make the same artefact in float32, hold the file against it, and forget it."""
    assert draft.twin is not None  # an earlier step
    options = draft.request.options
    held = _compared_images(draft.twin).paths
    with tempfile.TemporaryDirectory() as folder:
        twin = Draft(draft.twin, Path(folder, "float32.onnx"))
        for step in (fit, choose_parameters, assemble_file, calibrate):
            twin = step(twin)
        comparison = compare(draft.path, twin.path, held, provider=options.provider)
    _check_label_flips(comparison, options.precision, options.max_label_flips)
    _check_ranking(comparison, options.precision, [h.name for h in draft.heads if h.epsilon])
    return replace(draft, comparison=comparison)


def write(draft: Draft) -> Draft:
    """Add parity report and comparison to the metadata."""
    assert draft.parity is not None  # an earlier step
    compared = draft.comparison.to_json() if draft.comparison else {}
    model = onnx.load(draft.path)
    metadata = Scorer(draft.path, provider=draft.request.options.provider).metadata
    store_metadata(model, replace(metadata, parity=draft.parity.to_json(), comparison=compared))
    onnx.save(model, draft.path)
    return draft


STEPS: tuple[tuple[str, Callable[[Draft], Draft]], ...] = (
    ("simplify", simplify_classifier),
    ("convert", convert),
    ("fit", fit),
    ("tune", choose_parameters),
    ("assemble", assemble_file),
    ("calibrate", calibrate),
    ("verify", check_parity),
    ("compare", compare_with_twin),
    ("write", write),
)


def steps_for(options: Options) -> list[tuple[str, Callable[[Draft], Draft]]]:
    """The steps that these options need, in order; float32 is neither converted nor compared."""
    converted = options.precision != "fp32"
    return [step for step in STEPS if converted or step[0] not in _OF_CONVERSION]


def _int8_target(options: Options) -> str:
    return options.int8_target or next(iter(INT8_TARGETS))


def _statistics_images(request: Request) -> tuple[ImageSet, ImageSet]:
    """Which images fit statistics, and which set thresholds."""
    if request.options.statistics == "training":
        return request.training, request.calibration
    if request.calibration.labels is None:
        raise InputError(
            "statistics from calibration images need their labels",
            hint="arrange them as CALIBRATION/<class>/<file>, or use --statistics training",
        )
    first = halves_by_hash(with_hashes(request.calibration).hashes)
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


def _parity_images(request: Request) -> dict[str, DecodedImage]:
    """Training images spread evenly over the set, so that every class is likely among them."""
    chosen = evenly_spread(request.training, request.reference.images).paths
    decoded = _decoded(chosen, request.preprocess)
    return {shown_path(path): item for path, item in zip(chosen, decoded, strict=True)}


def _checked_gradients(
    draft: Draft, images: Mapping[str, NDArray[np.uint8]]
) -> Iterator[GradientReport]:
    """What differences say about heads that perturb, where the reference has no own gradient."""
    request = draft.request
    for head in draft.heads:
        if head.epsilon and request.reference.by_differences:
            yield from check_gradient(
                request.classifier,
                request.reference.float64,
                head,
                images,
                request.preprocess,
                provider=request.options.provider,
            )


def _ranging_input(request: Request) -> NDArray[np.float32]:
    """Network input that sets the ranges of int8: training images, and black, white and noise.

    Feature maps of images unlike any known ones go beyond the range of those. If they were cut
    there, such images would rank otherwise than in float32.
    """
    known, _ = decode_all(_range_images(request).paths, request.preprocess)
    unlike = np.stack(list(extremes(request.preprocess.size_px).values()))
    return request.preprocess.normalise(np.concatenate([known, unlike]), np.float32)


def _range_images(request: Request) -> ImageSet:
    """Every so many training images; at least as many are left over."""
    return evenly_spread(request.training, min(_RANGE_IMAGES, max(1, len(request.training) // 2)))


def _compared_images(request: Request) -> ImageSet:
    """Training images spread over the set, none of which set a range, if there are others."""
    ranged = set(_range_images(request).paths)
    others = np.array([path not in ranged for path in request.training.paths])
    held = request.training.subset(others) if others.any() else request.training
    return evenly_spread(held, _COMPARED_IMAGES)


def _check_label_flips(comparison: Comparison, precision: str, limit: float | None) -> None:
    if limit is not None and comparison.flip_rate > limit:
        raise ExportError(
            f"{precision} changes the label of {comparison.flip_rate:.2%} of the images that were "
            f"compared ({comparison.label_flips} of {comparison.images}), allowed {limit:.2%}",
            hint="nothing was written; try another --precision, or allow more",
        )


def _check_ranking(comparison: Comparison, precision: str, perturbing: Sequence[str]) -> None:
    for head in comparison.heads:
        if head.head in perturbing and not head.rank_correlation >= _LEAST_RANK_CORRELATION:
            raise ExportError(
                f"{head.head!r} does not keep its ranking in {precision}: its rank correlation "
                f"with fp32 is {head.rank_correlation:.4f}, expected {_LEAST_RANK_CORRELATION} or "
                "more",
                hint=f"leave {head.head!r} out of --scores, or export with --precision fp32",
            )
