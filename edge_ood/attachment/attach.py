"""From `classifier.onnx` to a calibrated, verified artefact: one pipeline for every classifier.

simplify   the classifier alone, which stays the same function
convert    to fewer bits, if asked for; all that follows is about the converted classifier
fit        statistics of the heads, through onnxruntime, in one pass over the images
tune       epsilon and layer weights; choose what decides, if asked to
assemble   classifier + preprocessing + heads + decision, as one graph
calibrate  thresholds, p-values and probe, through the assembled file
verify     the parity gate, on the assembled file
compare    a converted file with its fp32 reference, which goes the same way
write      a summary of the report into the metadata, then file and report under their final names
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from edge_ood.artifact.metadata import store_metadata
from edge_ood.attachment.attached import Attached
from edge_ood.attachment.choosing import chosen_primary, with_choice
from edge_ood.attachment.deciding import with_primary
from edge_ood.attachment.first_metadata import first_metadata, int8_target_of
from edge_ood.attachment.gradients import checked_gradients
from edge_ood.attachment.heads import fitted_heads
from edge_ood.attachment.listener import SILENT, Listener
from edge_ood.attachment.probabilities import AS_IT_IS, Probabilities, choose_temperature
from edge_ood.attachment.request import AUTO, Options, Request
from edge_ood.attachment.step_images import (
    compared_images,
    parity_images,
    ranging_input,
    statistics_images,
    with_images_back,
)
from edge_ood.attachment.tune import tune
from edge_ood.files.output import atomic_output, report_path, under_its_name
from edge_ood.graph.assemble import assemble
from edge_ood.graph.precision import INT8_TARGETS, quantised, with_float16
from edge_ood.graph.simplify import simplify
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import with_hashes
from edge_ood.parity.comparison import Comparison, check_label_flips, check_ranking, compare
from edge_ood.parity.differences import ParityReport
from edge_ood.parity.gate import checked_images, verify
from edge_ood.parity.limits import Subject
from edge_ood.parity.report import parity_document, write_report
from edge_ood.parity.yardstick import Watched
from edge_ood.registry import Spec
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.calibration_report import CalibrationReport
from edge_ood.runtime.on_ray import ScoredOnRay, connected
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import BoundHead
from edge_ood.threads import Meter

__all__ = ["STEPS", "Unfinished", "attach", "steps_for"]


@dataclass(frozen=True)
class Unfinished:
    """An artefact in the making: what the steps have found out so far.

    Attributes:
        left_out: By the name of a default head, why it is not there.
        notes: What the last step has to say, one sentence each.
        fp32_request: What was asked for, but in fp32; None unless the classifier is converted.
        on_progress: Called with how many images a step has done, and of how many.
    """

    request: Request
    path: Path
    heads: tuple[BoundHead, ...] = ()
    thresholds_from: ImageSet = field(default_factory=lambda: ImageSet(()))
    training_hashes: tuple[str, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)
    probabilities: Probabilities = AS_IT_IS
    calibration: CalibrationReport | None = None
    parity: ParityReport | None = None
    parity_hashes: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fp32_request: Request | None = None
    comparison: Comparison | None = None
    on_progress: Callable[[int, int], None] = lambda done, total: None


def attach(
    request: Request,
    output: Path,
    *,
    listener: Listener = SILENT,
) -> Attached:
    """Run all steps; nothing is left at `output` unless every one succeeds.

    Args:
        request: What to attach to which classifier.
        output: Where the artefact goes, and beside it the parity report; existing files are
            replaced.
        listener: Hears of steps, progress and notes.

    Raises:
        CalibrationError: If statistics or thresholds cannot be estimated.
        ExportError: If a head does not fit the classifier, or the parity gate fails.
        DataError: If an image cannot be read, or the file cannot be written.
    """
    with (
        connected(request.options.cluster),
        atomic_output(report_path(output)) as report,
        atomic_output(output) as temporary,
    ):
        unfinished = Unfinished(request, temporary, on_progress=listener.on_progress)
        for name, step in steps_for(request.options):
            listener.on_step(name)
            unfinished = step(replace(unfinished, notes=()))
            for note in unfinished.notes:
                listener.on_note(note)
        assert unfinished.parity is not None  # the last step but one sets it
        metadata = Scorer(temporary, provider=request.options.provider).metadata
        document = parity_document(unfinished.parity, metadata, unfinished.parity_hashes, temporary)
        write_report(report, document)
    return Attached(output, metadata, unfinished.parity, unfinished.comparison)


def simplify_classifier(unfinished: Unfinished) -> Unfinished:
    """Leave the classifier less to compute; the parity gate compares with it as it came."""
    lighter = simplify(unfinished.request.classifier)
    return replace(unfinished, request=replace(unfinished.request, classifier=lighter))


def convert(unfinished: Unfinished) -> Unfinished:
    """Put the classifier into the precision that was asked for, and remember it in float32."""
    request = unfinished.request
    options = request.options
    if options.precision == "fp16":
        converted = with_float16(request.classifier)
    else:
        images = ranging_input(request)
        converted = quantised(request.classifier, images, INT8_TARGETS[int8_target_of(request)])
    fp32 = replace(options, precision="fp32", int8_target=None, max_label_flips=None)
    return replace(
        unfinished,
        request=replace(request, classifier=converted),
        fp32_request=replace(request, options=fp32),
    )


def fit(unfinished: Unfinished) -> Unfinished:
    """Choose heads and fit their statistics; decide which images set the thresholds."""
    request = unfinished.request
    fitted = fitted_heads(request, unfinished.on_progress)
    request = with_images_back(request, fitted.heads)
    _, thresholds_from = statistics_images(request, fitted.heads)
    names = [head.name for head in fitted.heads]
    options, why = with_primary(request.options, names, len(thresholds_from))
    options = replace(options, heads=options.heads or [Spec(name) for name in names])
    options.guarantee.check_images(len(thresholds_from))
    request = replace(request, options=options, training=with_hashes(request.training))
    return replace(
        _with_decided(unfinished, request),
        heads=fitted.heads,
        left_out=fitted.left_out,
        notes=(*fitted.notes, *([why] if why else [])),
        thresholds_from=thresholds_from,
        training_hashes=request.training.hashes,
    )


def _with_decided(unfinished: Unfinished, request: Request) -> Unfinished:
    """With a request in which more is decided; what it is compared with takes that over."""
    fp32, options = unfinished.fp32_request, request.options
    if fp32 is not None:
        decided = {key: getattr(options, key) for key in ("heads", "primary", "guarantee")}
        fp32 = replace(fp32, options=replace(fp32.options, **decided))
    return replace(unfinished, request=request, fp32_request=fp32)


def choose_parameters(unfinished: Unfinished) -> Unfinished:
    """Choose epsilon and layer weights on training images, the temperature on others."""
    request, on_progress = unfinished.request, unfinished.on_progress
    tuning = tune(request, unfinished.heads, on_progress=on_progress)
    chosen = choose_temperature(request, tuning.heads, on_progress=on_progress)
    heads = chosen.of_heads(tuning.heads, request.options.heads)
    return replace(unfinished, heads=heads, choices=tuning.choices, probabilities=chosen)


def choose_what_decides(unfinished: Unfinished) -> Unfinished:
    """Let another score decide than by default, where training-side evidence is for it."""
    request = unfinished.request
    choice = chosen_primary(request, unfinished.on_progress)
    request = replace(request, options=replace(request.options, primary=choice.primary))
    choices = with_choice(unfinished.choices, choice)
    return replace(
        _with_decided(unfinished, request), choices=choices, notes=(choice.why, *choice.warnings)
    )


def assemble_file(unfinished: Unfinished) -> Unfinished:
    """Write the uncalibrated artefact."""
    request = unfinished.request
    assert request.options.primary is not None  # an earlier step
    model = assemble(
        request.classifier,
        request.preprocess,
        unfinished.heads,
        primary=request.options.primary,
        guarantee=request.options.guarantee,
    )
    metadata = first_metadata(
        request,
        unfinished.heads,
        training_hashes=unfinished.training_hashes,
        choices=unfinished.choices,
        probabilities=unfinished.probabilities,
        left_out=unfinished.left_out,
    )
    store_metadata(model, metadata)
    onnx.save(model, unfinished.path)
    return unfinished


def calibrate(unfinished: Unfinished) -> Unfinished:
    """Set thresholds and p-values through the file."""
    meter = Meter(len(unfinished.thresholds_from), unfinished.on_progress)
    images, cluster = unfinished.thresholds_from.paths, unfinished.request.options.cluster
    report = calibrate_artifact(
        unfinished.path,
        images if cluster is None else ScoredOnRay(images, cluster),
        provider=unfinished.request.options.provider,
        on_image=meter.advance,
    )
    return replace(unfinished, calibration=report)


def check_parity(unfinished: Unfinished) -> Unfinished:
    """Hold the file against its reference."""
    assert unfinished.calibration is not None  # an earlier step
    request = unfinished.request
    subject = Subject(request.preprocess, unfinished.heads, unfinished.calibration.decision)
    decoded = parity_images(request)
    images = {name: item.pixels for name, item in decoded.items()}
    reference = None if unfinished.fp32_request else request.reference
    meter = Meter(checked_images(len(images), unfinished.heads, reference), unfinished.on_progress)
    report = verify(
        unfinished.path,
        subject,
        reference and replace(reference, float64=Watched(reference.float64, meter.advance)),
        images,
        provider=request.options.provider,
        on_images=meter.advance,
    )
    gradients = tuple(checked_gradients(request, unfinished.heads, images)) if reference else ()
    hashes = {name: item.content_hash for name, item in decoded.items()}
    return replace(unfinished, parity=replace(report, gradients=gradients), parity_hashes=hashes)


def compare_with_fp32(unfinished: Unfinished) -> Unfinished:
    """Make the same artefact in fp32, hold the file against this reference, and forget it."""
    assert unfinished.fp32_request is not None  # an earlier step
    options = unfinished.request.options
    held = compared_images(unfinished.fp32_request).paths
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fp32.onnx")
        reference = Unfinished(unfinished.fp32_request, path, on_progress=unfinished.on_progress)
        with under_its_name(path, "the same artefact in fp32"):
            for step in (fit, choose_parameters, assemble_file, calibrate):
                reference = step(reference)
            comparison = compare(unfinished.path, path, held, provider=options.provider)
    check_label_flips(comparison, options.precision, options.max_label_flips)
    check_ranking(comparison, options.precision, [h.name for h in unfinished.heads if h.epsilon])
    return replace(unfinished, comparison=comparison)


def write(unfinished: Unfinished) -> Unfinished:
    """Add parity report and comparison to the metadata."""
    assert unfinished.parity is not None  # an earlier step
    compared = unfinished.comparison.to_json() if unfinished.comparison else {}
    metadata = Scorer(unfinished.path, provider=unfinished.request.options.provider).metadata
    model = onnx.load(unfinished.path)
    store_metadata(
        model, replace(metadata, parity=unfinished.parity.to_json(), comparison=compared)
    )
    onnx.save(model, unfinished.path)
    return unfinished


STEPS: tuple[tuple[str, Callable[[Unfinished], Unfinished]], ...] = (
    ("simplify", simplify_classifier),
    ("convert", convert),
    ("fit", fit),
    ("tune", choose_parameters),
    ("choose", choose_what_decides),
    ("assemble", assemble_file),
    ("calibrate", calibrate),
    ("verify", check_parity),
    ("compare", compare_with_fp32),
    ("write", write),
)


def steps_for(options: Options) -> list[tuple[str, Callable[[Unfinished], Unfinished]]]:
    """The steps that these options need, in order; float32 is neither converted nor compared."""
    idle = set() if options.primary == AUTO else {"choose"}
    idle |= {"convert", "compare"} if options.precision == "fp32" else set()
    return [step for step in STEPS if step[0] not in idle]
