"""`edge-ood export`: a trained network becomes one ONNX file that decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_ood.cli._comparison import report_comparison
from edge_ood.cli._options import (
    AlphaOption,
    ConfidenceOption,
    ForceOption,
    Int8TargetOption,
    MaxLabelFlipsOption,
    PrecisionOption,
    ProviderOption,
    announce_step,
)
from edge_ood.cli._table import format_table

if TYPE_CHECKING:
    from edge_ood.attach import Attached

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
    scores: Annotated[
        str | None,
        typer.Option(help="Heads with parameters; every closed-form head that fits by default."),
    ] = None,
    primary: Annotated[
        str, typer.Option(help="The head behind the outputs 'is_ood' and 'pvalue'.")
    ] = "energy",
    alpha: AlphaOption = 0.05,
    confidence: ConfidenceOption = None,
    statistics: Annotated[
        str, typer.Option(help="Images that fit statistics: training or calibration.")
    ] = "training",
    epsilon: Annotated[
        str,
        typer.Option(
            help="Step of heads that perturb: declared, or chosen on training images by auto, "
            "outliers, fgsm or id-only."
        ),
    ] = "declared",
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

    Example: edge-ood export --model resnet18 --weights resnet18.pth --train data/train \
    --calibration data/calibration -o exported/resnet18.onnx
    """
    from edge_ood.errors import MissingDependencyError
    from edge_ood.output import check_output
    from edge_ood.registry import parse_spec, parse_specs

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
    colours = {name: _colours(name, text) for name, text in (("--mean", mean), ("--std", std))}
    target = output or Path("exported", f"{stem}.onnx")
    check_output(target, force=force)
    try:
        from edge_ood.calibration.guarantee import Guarantee
        from edge_ood.export import export_network, export_run
        from edge_ood.finished import NetworkSource
        from edge_ood.request import Options
        from edge_ood.training_set import Folders
    except ModuleNotFoundError as error:
        raise MissingDependencyError("exporting", error.name or "torch", "train") from error

    options = Options(
        heads=parse_specs(scores) if scores else (),
        primary=primary,
        guarantee=Guarantee(alpha, confidence or 0.0),
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
            on_note=lambda note: typer.echo(f"note: {note}", err=True),
        )
    _report(target, attached)


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


def _colours(option: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} is {text!r}, expected three numbers such as 0.485,0.456,0.406"
        ) from error
    return red, green, blue


def _report(target: Path, attached: "Attached") -> None:
    from edge_ood.calibration.statement import statement

    _explain_choices(attached.metadata.provenance.get("choices", {}))
    calibration = attached.metadata.calibration
    errors = {d.output: d for d in attached.parity.differences}
    rows = [
        (head, f"{threshold:.6g}", f"{errors[head].error:.1e}", f"{errors[head].allowed:.1e}")
        for head, threshold in calibration.thresholds.items()
    ]
    typer.echo(format_table(("head", "threshold", "parity error", "allowed"), rows))
    typer.echo(
        f"{target}: {target.stat().st_size / 1e6:.2f} MB, calibrated on {calibration.n} images, "
        f"decides by {attached.metadata.primary}; "
        f"parity checked on {attached.parity.images} images, "
        f"{attached.parity.resized_flips} of {attached.parity.resized_decisions} decisions differ "
        "between resizing by Pillow and in the graph"
    )
    typer.echo(statement(calibration.guarantee, calibration.n))
    if attached.comparison is not None:
        report_comparison(attached.metadata.precision, attached.comparison)


def _explain_choices(choices: Mapping[str, Any]) -> None:
    for head, choice in choices.items():
        if "epsilon" in choice:
            found = choice["epsilon"]
            curve = ", ".join(f"{eps}: {value:.4f}" for eps, value in found["curve"].items())
            typer.echo(f"{head}: epsilon {found['epsilon']:g} by {found['criterion']} ({curve})")
            if found["at_end"]:
                kept = ", so the paper's value is kept" if found["kept_default"] else ""
                typer.echo(f"{head}: the best epsilon is the end of the grid{kept}", err=True)
        if "weights" in choice:
            by_layer = choice["weights"]["by_layer"]
            shown = ", ".join(f"{layer} {weight:.3g}" for layer, weight in by_layer.items())
            typer.echo(f"{head}: layer weights by {choice['weights']['source']}: {shown}")
        if "rank" in choice:
            shares = choice["rank"]["explained"].items()
            kept = ", ".join(f"{share:.1%} of that of {layer}" for layer, share in shares)
            typer.echo(f"{head}: rank {choice['rank']['rank']} keeps of the variance: {kept}")
