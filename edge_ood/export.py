"""A finished run becomes an artefact: torch to `classifier.onnx`, then `attach`."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_ood.attach import Attached, Options, Request, attach
from edge_ood.calibration.threshold import threshold_rank
from edge_ood.errors import ExportError
from edge_ood.graph.array import OPSET
from edge_ood.graph.assemble import FEATURES_PREFIX
from edge_ood.models import load_model
from edge_ood.parity import Reference
from edge_ood.run_directory import Run, read_run
from edge_ood.scores import Outputs

__all__ = ["export_classifier", "export_run", "request_of", "torch_reference"]

_TRACED_BATCH = 2
"""torch specialises dimensions of size 1, so a batch of 1 would be baked into the graph."""


class _AsTuple(nn.Module):
    """The classifier with its outputs in a flat tuple, which is what an exporter can name."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs: Outputs = self.classifier(images)
        pair = () if outputs.logits_pair is None else (outputs.logits_pair,)
        return (outputs.logits, *pair, *outputs.features.values())


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
    model = load_model(run)
    return Request(
        classifier=export_classifier(model, run.config.preprocess.size_px),
        reference=torch_reference(model),
        preprocess=run.config.preprocess,
        classes=run.config.classes,
        training=run.splits["training"],
        calibration=run.splits["calibration"],
        options=options,
        outlier_hashes=run.splits["outliers"].hashes,
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
    names = ["logits", *(["logits_pair"] if outputs.logits_pair is not None else [])]
    names += [FEATURES_PREFIX + layer for layer in outputs.features]
    with _quiet(), _export_errors():
        program = torch.onnx.export(
            wrapped,
            (images,),
            input_names=["input"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # a program is returned whenever no file name is given
    return onnx.load_from_string(program.model_proto.SerializeToString())


def torch_reference(classifier: nn.Module) -> Reference:
    """The classifier in torch on the CPU, in float64 and in float32, for the parity gate."""
    exact = copy.deepcopy(classifier).cpu().double().eval()
    plain = copy.deepcopy(classifier).cpu().float().eval()
    return Reference(partial(_evaluate, exact), partial(_evaluate, plain))


def _evaluate(classifier: nn.Module, images: NDArray[Any]) -> Outputs:
    with torch.inference_mode():
        outputs: Outputs = classifier(torch.from_numpy(images))
    pair = None if outputs.logits_pair is None else outputs.logits_pair.numpy()
    features = {layer: values.numpy() for layer, values in outputs.features.items()}
    return Outputs(outputs.logits.numpy(), pair, features)


def _provenance(run: Run) -> dict[str, object]:
    settings = run.config.settings
    return {
        "model": settings.model.name,
        "model_parameters": dict(settings.model.parameters),
        "heads": settings.heads,
        "objective": settings.objective.name,
        "objective_parameters": dict(settings.objective.parameters),
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
