"""A finished run becomes an artefact: torch to `classifier.onnx`, then `attach`."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from edge_ood.attach import Attached, attach
from edge_ood.calibration.threshold import threshold_rank
from edge_ood.errors import ExportError
from edge_ood.graph.array import OPSET
from edge_ood.layers import WithLayers, choose_layers
from edge_ood.models import load_model
from edge_ood.request import Options, Request
from edge_ood.run_directory import Run, read_run
from edge_ood.scores import Outputs
from edge_ood.torch_reference import torch_reference

__all__ = ["export_classifier", "export_run", "request_of"]

_TRACED_BATCH = 2
"""torch specialises dimensions of size 1, so a batch of 1 would be baked into the graph."""


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
    on_step: Callable[[str], None] = lambda name: None,
) -> Attached:
    """Export a finished run.

    Args:
        run_path: A run directory.
        output: Where the artefact goes; an existing file is replaced.
        options: Heads, primary head, false-alarm rate and the like.
        on_step: Called with each step's name before it starts.

    Raises:
        ArtifactError: If the run is unfinished or damaged.
        CalibrationError: If there are too few calibration images.
        ExportError: If the classifier cannot be exported, or the parity gate fails.
    """
    run = read_run(run_path)
    threshold_rank(len(run.splits["calibration"]), options.alpha)
    on_step("trace")
    return attach(request_of(run, options), output, on_step=on_step)


def request_of(run: Run, options: Options) -> Request:
    """What `attach` needs to know about a finished run; traces its classifier."""
    trained, size_px = load_model(run), run.config.preprocess.size_px
    model = WithLayers(trained, choose_layers(trained, size_px, options.layers))
    return Request(
        classifier=export_classifier(model, size_px),
        reference=torch_reference(model),
        preprocess=run.config.preprocess,
        classes=run.config.classes,
        training=run.splits["training"],
        calibration=run.splits["calibration"],
        options=options,
        outliers=run.splits["outliers"],
        others={role: run.splits[role] for role in ("pretraining",)},
        provenance=_provenance(run),
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
    with _quiet(), _export_errors():
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
        "epochs": settings.epochs,
        "seed": settings.seed,
    }


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]  # a generator of nothing
    """Keep the exporter's progress, warnings and logs off the user's terminal."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _export_errors():  # type: ignore[no-untyped-def]  # a generator of nothing
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(
            f"torch cannot express this classifier in ONNX: {reason}",
            hint="the first operator that it names has no ONNX form; replace it in the model",
        ) from error
