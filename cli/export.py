"""`edge-ood export`: a run directory becomes one ONNX file that decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_ood.cli._options import AlphaOption, ForceOption, ProviderOption, announce_step
from edge_ood.cli._table import format_table

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="What 'edge-ood train' wrote.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The artefact; exported/RUN.onnx by default."),
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(help="Heads with parameters; every closed-form head that fits by default."),
    ] = None,
    primary: Annotated[
        str, typer.Option(help="The head behind the outputs 'is_ood' and 'pvalue'.")
    ] = "energy",
    alpha: AlphaOption = 0.05,
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
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Export a trained run as one ONNX file that decides.

    Preprocessing, score heads, thresholds and decision are inside; torch is not needed to run it.

    Example: edge-ood export runs/oe -o exported/oe.onnx --scores energy,msp,mahalanobis
    """
    from edge_ood.errors import MissingDependencyError
    from edge_ood.output import check_output
    from edge_ood.registry import parse_specs

    target = output or Path("exported", f"{run.resolve().name}.onnx")
    check_output(target, force=force)
    try:
        from edge_ood.export import export_run
        from edge_ood.request import Options
    except ModuleNotFoundError as error:
        raise MissingDependencyError("exporting", error.name or "torch", "train") from error

    options = Options(
        heads=parse_specs(scores) if scores else (),
        primary=primary,
        alpha=alpha,
        statistics=statistics,
        provider=provider,
        epsilon=epsilon,
        layers=tuple(layers.split(",")) if layers else (),
    )
    attached = export_run(run, target, options, on_step=announce_step)
    _explain_choices(attached.metadata.provenance.get("choices", {}))
    calibration = attached.metadata.calibration
    errors = {d.output: d for d in attached.parity.differences}
    rows = [
        (head, f"{threshold:.6g}", f"{errors[head].error:.1e}", f"{errors[head].allowed:.1e}")
        for head, threshold in calibration.thresholds.items()
    ]
    typer.echo(format_table(("head", "threshold", "parity error", "allowed"), rows))
    typer.echo(
        f"{target}: {target.stat().st_size / 1e6:.2f} MB, {1 - calibration.alpha:.3g} of known "
        f"images accepted (calibrated on {calibration.n}), decides by {attached.metadata.primary}; "
        f"parity checked on {attached.parity.images} images, "
        f"{attached.parity.resized_flips} of {attached.parity.resized_decisions} decisions differ "
        "between resizing by Pillow and in the graph"
    )


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
