"""A trained network becomes an artefact: torch to `classifier.onnx`, then `attach`.

Where the network comes from, a run directory or a file of weights, is settled before; from there
on there is one way.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from edge_ood.artifact.never_tested import declaration_of
from edge_ood.attachment.attach import attach
from edge_ood.attachment.attached import Attached
from edge_ood.attachment.listener import SILENT, Listener
from edge_ood.attachment.request import Options, Request
from edge_ood.errors import ExportError, InputError
from edge_ood.files.paths import is_file
from edge_ood.graph.array import OPSET
from edge_ood.graph.quiet import quiet
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.objectives import needs_of
from edge_ood.parity.torch_reference import torch_reference
from edge_ood.registry import Spec
from edge_ood.scores import Outputs
from edge_ood.torch_export.layers import WithLayers, choose_layers
from edge_ood.torch_export.notes import smoothing_note, unfit_head_note
from edge_ood.torch_export.trained_network import check_accuracy, load_network
from edge_ood.training.progress import chance_warning
from edge_ood.training.roles import TrainedOn
from edge_ood.training.run_directory import Run, read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.settings import DIVERSE, SELF, Settings
from edge_ood.training.training_set import read_splits
from edge_ood.training.trust import trusted_run
from edge_ood.weights.source import NetworkSource

__all__ = ["export_classifier", "export_network", "export_run", "request_of"]

_PLACE = re.compile(r'File "([^"]+)", line (\d+), in')
_TRACED_BATCH = 2
"""torch specialises dimensions of size 1, so a batch of 1 would be baked into the graph."""


@dataclass(frozen=True)
class _Trained:
    """A trained classifier, and the images that it knows.

    Attributes:
        classifier: Maps normalised images (N, 3, S, S) to `Outputs`, in evaluation mode.
        preprocess: From a file to its input.
        splits: Image sets with hashes: `training` with labels, and those of the other roles.
        provenance: Where it comes from, for the metadata.
        validation: Labelled images that were held back from its training; none where that is not
            known.
    """

    classifier: nn.Module
    preprocess: Preprocess
    splits: Mapping[str, ImageSet]
    provenance: Mapping[str, object]
    validation: ImageSet


class _AsTuple(nn.Module):
    """The classifier with its outputs in a flat tuple, which is what an exporter can name."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: Outputs = self.classifier(images)
        return tuple(outputs.named().values())


def export_run(
    run_path: Path,
    output: Path,
    options: Options,
    *,
    model: Spec | None = None,
    trust: bool = False,
    listener: Listener = SILENT,
) -> Attached:
    """Export a finished run; of one that has learnt nothing the provenance holds a `warning`.

    Args:
        run_path: A run directory.
        output: Where the artefact goes; an existing file is replaced.
        options: Heads, primary head, false-alarm rate and the like.
        model: The network that it was trained with, where its owner names it again.
        trust: Whether the run may name code to run.
        listener: Hears of steps, progress and notes.

    Raises:
        ArtifactError: If the run is unfinished or damaged.
        InputError: If the run names code that nobody vouches for.
        CalibrationError: If there are too few calibration images.
        ExportError: If the classifier cannot be exported, or the parity gate fails.
    """
    run = trusted_run(read_run(run_path), model=model, trust=trust)
    settings = run.config.settings
    if note := unfit_head_note(settings, options.primary):
        listener.on_note(note)
    attached = _export(_trained(run), output, options, listener)
    if note := smoothing_note(settings, attached.metadata):
        listener.on_note(note)
    return attached


def export_network(
    source: NetworkSource,
    images: TrainedOn,
    output: Path,
    options: Options,
    *,
    listener: Listener = SILENT,
) -> Attached:
    """Export a network that was trained elsewhere, as a run of the same weights is exported.

    Args:
        source: Model, weights and preprocessing.
        images: Its training images, whose labels are its classes; calibration images of which
            none was trained on; perhaps outliers.
        output: Where the artefact goes; an existing file is replaced.
        options: Heads, primary head, false-alarm rate and the like.
        listener: Hears of steps, progress and notes.

    Raises:
        ArtifactError: If the weights cannot be read or do not fit.
        InputError: If the model is unknown, or its outputs are not K logits an image.
        DataError: If images are unusable, calibration images were trained on, or the network
            classifies the training images no better than chance.
        CalibrationError: If there are too few calibration images.
        ExportError: If the classifier cannot be exported, or the parity gate fails.
    """
    classes = images.labelled.classes
    loaded = load_network(source, len(classes))
    for note in loaded.notes:
        listener.on_note(note)
    listener.on_step("images")
    splits = read_splits(images, on_note=listener.on_note)
    accuracy = check_accuracy(loaded, splits["training"])
    listener.on_note(
        f"{accuracy:.1%} of the training images that were tried are classified correctly"
    )
    nobody = ImageSet(())  # who trained it elsewhere may have trained on every image
    trained = _Trained(loaded.classifier, loaded.preprocess, splits, loaded.provenance, nobody)
    return _export(trained, output, options, listener)


def request_of(run: Run, options: Options) -> Request:
    """What `attach` needs to know about a finished run; traces its classifier."""
    return _request(_trained(run), options)


def _trained(run: Run) -> _Trained:
    held_back = run.splits["validation"]
    return _Trained(load_model(run), run.config.preprocess, run.splits, _provenance(run), held_back)


def _export(
    trained: _Trained,
    output: Path,
    options: Options,
    listener: Listener,
) -> Attached:
    options.guarantee.check_images(len(trained.splits["calibration"]))
    listener.on_step("trace")
    return attach(_request(trained, options), output, listener=listener)


def _request(trained: _Trained, options: Options) -> Request:
    size_px = trained.preprocess.size_px
    layers = choose_layers(trained.classifier, size_px, options.layers)
    model = WithLayers(trained.classifier, layers)
    traced = export_classifier(model, size_px)
    return Request(
        classifier=traced,
        reference=torch_reference(model, traced),
        preprocess=trained.preprocess,
        classes=trained.splits["training"].classes,
        training=trained.splits["training"],
        calibration=trained.splits["calibration"],
        options=options,
        outliers=trained.splits["outliers"],
        others={role: trained.splits[role] for role in ("unlabelled", "pretraining")},
        provenance=trained.provenance,
        validation=trained.validation,
    )


def export_classifier(classifier: nn.Module, size_px: int) -> onnx.ModelProto:
    """Trace a classifier in evaluation mode into ONNX with a dynamic batch.

    Args:
        classifier: Maps float32 (N, 3, S, S) to `Outputs`.
        size_px: S.

    Returns:
        A model of opset 18 with outputs `logits`, `logits_pair` if there are two heads, and
        `features/<layer>`.

    Raises:
        ExportError: If torch cannot express the classifier in ONNX.
    """
    wrapped = _AsTuple(classifier).eval()
    images = torch.zeros(_TRACED_BATCH, 3, size_px, size_px)
    with torch.inference_mode():
        outputs: Outputs = wrapped.classifier(images)
    with quiet(), _export_errors():
        program = torch.onnx.export(
            wrapped,
            (images,),
            input_names=["input"],
            output_names=list(outputs.named()),
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # a program is returned whenever no file name is given
    return onnx.load_from_string(program.model_proto.SerializeToString())


def _provenance(run: Run) -> dict[str, object]:
    settings = run.config.settings
    recipe = {"recipe": settings.recipe} if settings.recipe else {}
    return {
        **recipe,
        "model": settings.model.name,
        "model_parameters": dict(settings.model.parameters),
        "heads": settings.heads,
        "objective": settings.objective.name,
        "objective_parameters": run.config.objective_parameters,
        **_outliers(settings),
        "epochs": settings.epochs,
        "seed": settings.seed,
        **_never_tested(run),
        **({"warning": warning} if (warning := _warning(run)) else {}),
    }


def _outliers(settings: Settings) -> Mapping[str, object]:
    """How the outliers of a step were found, where it was not the usual way."""
    if settings.outlier_source == SELF:
        return {"outlier_source": SELF, "shuffled_share": settings.shuffled_share}
    sampling = settings.outlier_sampling
    return {"outlier_sampling": sampling} if sampling == DIVERSE else {}


def _warning(run: Run) -> str:
    """What training said of its outcome, if it was bad; runs without a record of it say nothing."""
    return chance_warning(run, read_metrics(run.path)) if is_file(run.path / "metrics.csv") else ""


def _never_tested(run: Run) -> Mapping[str, object]:
    """What the objective excludes from any test, where it learnt from images without labels.

    Without this `evaluate` excludes those; so it does for an objective that is no longer there.
    """
    try:
        roles = needs_of(run.config.settings.objective).never_tested
    except InputError:
        return {}
    return declaration_of(roles) if roles or len(run.splits["unlabelled"]) else {}


@contextlib.contextmanager
def _export_errors():  # type: ignore[no-untyped-def]  # a generator of nothing
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        said = str(error.__cause__ or error).strip()  # the exporter's own words are advice
        places = _PLACE.findall(said)
        where = f" ('{places[-1][0]}', line {places[-1][1]})" if places else ""
        raise ExportError(
            f"torch cannot express this classifier in ONNX: {said.splitlines()[0]}{where}",
            hint="change the model there: an operator without an ONNX form, or an 'if' on values",
        ) from error
