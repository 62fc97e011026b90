"""`edge-ood attach`: somebody else's ONNX classifier becomes a file that decides."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._bundles import bundle, options_of, with_bundles
from edge_ood.cli._made import report_artifact
from edge_ood.cli._options import (
    Conversion,
    Decision,
    ForceOption,
    Preprocessing,
    ProviderOption,
)
from edge_ood.cli._say import say
from edge_ood.cli._score_on_ray import Engine
from edge_ood.cli._steps import StepDisplay

if TYPE_CHECKING:
    from edge_ood.foreign.inferred import Inferred

__all__ = ["attach"]


@bundle("What the file does not tell")
class Conventions:
    """How it takes pixels, and which tensors mean what."""

    pixels: Annotated[
        str | None,
        typer.Option(
            help="What it takes pixels as: unit [0, 1], byte [0, 255], signed [-1, 1] or imagenet "
            "(its mean and std); by default the one that labelled images single out."
        ),
    ] = None
    channels: Annotated[
        str | None, typer.Option(help="What it takes: rgb (default), bgr or gray.")
    ] = None
    layout: Annotated[
        str | None, typer.Option(help="nchw or nhwc, where its input does not tell.")
    ] = None
    logits: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Tensor of class scores, where the search fails."),
    ] = None
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Tensors that heads on features read; what the last linear layer reads by "
            "default.",
        ),
    ] = None


@with_bundles
def attach(
    classifier: Annotated[
        Path, typer.Argument(metavar="CLASSIFIER.onnx", help="Exported by PyTorch, Keras, ...")
    ],
    *,
    calibration: Annotated[
        str,
        typer.Option(
            metavar="DIR|URL",
            help="ID images, none trained on, for thresholds; a folder, a URL, tar shards or "
            "tables.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The artefact; CLASSIFIER.ood.onnx beside it by default."
        ),
    ] = None,
    training: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="DIR|URL",
            help="Its training images, DIR/<class>/<file>; without them half of --calibration, "
            "in class folders, fits statistics.",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names in the order of its outputs, one a line; by default those in the "
            "file or in config.json beside it, else the sorted class folders.",
        ),
    ] = None,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
    conventions: Conventions,
    preprocessing: Preprocessing,
    decision: Decision,
    conversion: Conversion,
    engine: Engine,
) -> None:
    """Attach scores, thresholds and a decision to somebody else's ONNX classifier.

    Preprocessing, labels, score heads, thresholds and p-values go into one file, without torch.
    Logits and features are found in the graph: before a softmax, and where its last linear layer
    reads. What was found out is shown as a table.

    Example: edge-ood attach keras.onnx --id data/train --calibration data/held -o x.onnx
    """
    from edge_ood.api.attach import attach as attach_classifier

    with StepDisplay() as progress:
        attached = attach_classifier(
            classifier,
            output,
            calibration=calibration,
            id=training,
            classes=classes,
            provider=provider,
            force=force,
            cluster=engine.cluster_or_none(provider),
            on_step=progress.step,
            on_progress=progress.show,
            on_note=progress.note,
            on_inferred=print_inferred,
            **options_of(conventions, preprocessing, decision, conversion),
        )
    report_artifact(attached)


def print_inferred(rows: "Sequence[Inferred]") -> None:
    """Say what was found out about a classifier, before the long work."""
    from edge_ood.foreign.inferred import inferred_text

    say(f"{inferred_text(rows)}\n")
