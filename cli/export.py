"""`edge-ood export`: a trained network becomes one ONNX file that decides."""

from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._bundles import bundle, options_of, with_bundles
from edge_ood.cli._made import report_artifact
from edge_ood.cli._options import (
    Conversion,
    Decision,
    ForceOption,
    Preprocessing,
    ProviderOption,
    TrustOption,
)
from edge_ood.cli._say import say
from edge_ood.cli._score_on_ray import Engine
from edge_ood.cli._steps import StepDisplay

__all__ = ["export"]


@bundle("A network without a run directory")
class Network:
    """What a run directory would know."""

    model: Annotated[
        str | None,
        typer.Option(
            help="Instead of RUN, a network that is trained already: resnet18, wrn-40-2, ..., or "
            "package.module:function, which runs your own code."
        ),
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its weights: safetensors, or a torch state dict."),
    ] = None
    train: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Its training images, DIR/<class>/<file>; or a URL, tar shards or tables with "
            "labels.",
        ),
    ] = None
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="ID images, none trained on, for thresholds alone; likewise."
        ),
    ] = None
    outliers: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="Auxiliary outliers, to choose --epsilon and --primary by."
        ),
    ] = None
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Class names in the order of its outputs, one a line, where --train does not have "
            "every class; else its sorted class folders.",
        ),
    ] = None


@bundle("Statistics")
class Statistics:
    """What is fitted on images, and on which."""

    statistics: Annotated[
        str, typer.Option(help="Images that fit statistics: training or calibration.")
    ] = "training"
    layers: Annotated[
        str | None,
        typer.Option(help="Feature layers besides the last: auto, or names of submodules."),
    ] = None


@with_bundles
def export(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="What 'edge-ood train' wrote; with --for also an artefact."
        ),
    ] = None,
    repository: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="For --for: where it goes.")
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The artefact; by default in exported/, named after RUN or FILE."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="triton",
            help="Also write what a server takes into DIR: a model repository of Triton.",
        ),
    ] = None,
    trust: TrustOption = False,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
    decision: Decision,
    statistics: Statistics,
    conversion: Conversion,
    network: Network,
    preprocessing: Preprocessing,
    engine: Engine,
) -> None:
    """Export a trained network as one ONNX file that decides.

    Preprocessing, score heads, thresholds and decision are inside; torch is not needed to run it.
    The network comes from a run directory, or is any other with its weights and images.

    Example: edge-ood export runs/oe -o exported/oe.onnx --scores energy,msp,mahalanobis

    Example: edge-ood export runs/oe --scores energy,mahalanobis,combined --primary combined

    Example: edge-ood export exported/oe.onnx --for triton repository

    Example: edge-ood export --model resnet18 --weights r.pth --train train --calibration held
    """
    from edge_ood.api.export import export as export_network

    if repository is None and network.model is not None and target is not None:
        run, repository = None, run  # a network of options: the only argument is the folder
    _check_target(target, repository)
    if repository is not None and run is not None and run.suffix.lower() == ".onnx":
        _write_repository(run, repository, force=force)
        return
    with StepDisplay() as progress:
        attached = export_network(
            run,
            output,
            trust=trust,
            provider=provider,
            force=force,
            cluster=engine.cluster_or_none(provider),
            on_step=progress.step,
            on_progress=progress.show,
            on_note=progress.note,
            **options_of(decision, statistics, conversion, network, preprocessing),
        )
    report_artifact(attached)
    if repository is not None:
        _write_repository(attached.path, repository, force=force)


def _check_target(target: str | None, repository: Path | None) -> None:
    if target not in (None, "triton"):
        raise typer.BadParameter(f"--for {target}: 'triton' is all there is")
    if (target is None) != (repository is None):
        raise typer.BadParameter("--for triton and DIR go together: export FILE --for triton DIR")


def _write_repository(artifact: Path, folder: Path, *, force: bool) -> None:
    """Write a model repository with an artefact."""
    from edge_ood.runtime.triton_repository import write_triton_repository

    model = write_triton_repository(artifact, folder, force=force)
    say(f"{model}: tritonserver --model-repository {folder}", err=True)
