"""`edge-ood export`: a trained network becomes one ONNX file that decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._made import report_artefact
from edge_ood.cli._options import (
    AlphaOption,
    ConfidenceOption,
    EpsilonOption,
    ForceOption,
    Int8TargetOption,
    MaxLabelFlipsOption,
    PerClassOption,
    PrecisionOption,
    PrimaryOption,
    ProviderOption,
    ScoresOption,
    announce_step,
    artefact_options,
    parse_colours,
    print_note,
)

__all__ = ["export"]

_NEEDED = ("--model", "--weights", "--train", "--calibration")


def export(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="What 'edge-ood train' wrote.")
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The artefact; by default in exported/, named after RUN or FILE."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Instead of RUN, a network that is trained already: resnet18, wrn-40-2, ..., or "
            "package.module:function, which runs your own code."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its weights: safetensors, or a torch state dict."),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Its training images, DIR/<class>/<file>."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Known images, none trained on, for thresholds alone."),
    ] = None,
    outliers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Auxiliary outliers, for --epsilon.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="Its input, px; with torchvision's weights theirs by default."),
    ] = None,
    resize: Annotated[str | None, typer.Option(help="center-crop (default) or stretch.")] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of pixels in [0, 1]; default as above.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Of pixels in [0, 1]; default as above.")
    ] = None,
    scores: ScoresOption = None,
    primary: PrimaryOption = "energy",
    alpha: AlphaOption = 0.05,
    confidence: ConfidenceOption = None,
    per_class: PerClassOption = None,
    statistics: Annotated[
        str, typer.Option(help="Images that fit statistics: training or calibration.")
    ] = "training",
    epsilon: EpsilonOption = "declared",
    layers: Annotated[
        str | None,
        typer.Option(help="Feature layers besides the last: auto, or names of submodules."),
    ] = None,
    precision: PrecisionOption = "fp32",
    int8_target: Int8TargetOption = None,
    max_label_flips: MaxLabelFlipsOption = None,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    r"""Export a trained network as one ONNX file that decides.

    Preprocessing, score heads, thresholds and decision are inside; torch is not needed to run it.
    The network comes from a run directory, or is any other with its weights and images.

    Example: edge-ood export runs/oe -o exported/oe.onnx --scores energy,msp,mahalanobis

    Example: edge-ood export runs/oe --scores energy,mahalanobis,combined --primary combined

    Example: edge-ood export --model resnet18 --weights resnet18.pth --train data/train \
    --calibration data/calibration -o exported/resnet18.onnx
    """
    from edge_ood.errors import MissingDependencyError
    from edge_ood.files.output import check_artifact
    from edge_ood.registry import parse_spec

    described = {
        "--model": model,
        "--weights": weights,
        "--train": train,
        "--calibration": calibration,
        "--outliers": outliers,
        "--image-size": image_size,
        "--resize": resize,
        "--mean": mean,
        "--std": std,
    }
    stem = _check_usage(run, described)
    colours = {name: parse_colours(name, text) for name, text in (("--mean", mean), ("--std", std))}
    target = output or Path("exported", f"{stem}.onnx")
    check_artifact(target, force=force)
    try:
        from edge_ood.torch_export.export import export_network, export_run
        from edge_ood.torch_export.trained_network import NetworkSource
        from edge_ood.training.training_set import Folders
    except ModuleNotFoundError as error:
        raise MissingDependencyError("exporting", error.name or "torch", "train") from error

    options = artefact_options(
        scores=scores,
        primary=primary,
        alpha=alpha,
        confidence=confidence,
        per_class=per_class,
        statistics=statistics,
        provider=provider,
        epsilon=epsilon,
        layers=tuple(layers.split(",")) if layers else (),
        precision=precision,
        int8_target=int8_target,
        max_label_flips=max_label_flips,
    )
    if run is not None:
        attached = export_run(run, target, options, on_step=announce_step)
    else:
        assert model
        assert weights
        assert train  # `_check_usage`
        attached = export_network(
            NetworkSource(
                parse_spec(model),
                weights,
                image_size,
                colours["--mean"],
                colours["--std"],
                resize or "center-crop",
            ),
            Folders(train, outliers, calibration),
            target,
            options,
            on_step=announce_step,
            on_note=print_note,
        )
    report_artefact(target, attached)


def _check_usage(run: Path | None, described: Mapping[str, object]) -> str:
    """Refuse half a description; the rest of the artefact's default name otherwise."""
    given = [name for name, value in described.items() if value is not None]
    if run is not None and given:
        raise typer.BadParameter(f"a run directory knows its {', '.join(given)}; leave them out")
    if run is not None:
        return run.resolve().name
    absent = [name for name in _NEEDED if name not in given]
    if not given:
        raise typer.BadParameter(f"give a run directory, or {', '.join(_NEEDED)}")
    if absent:
        raise typer.BadParameter(f"without a run directory, {', '.join(absent)} is needed, too")
    return Path(str(described["--weights"])).stem
