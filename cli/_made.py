"""What a command says about an artefact that it has just made."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edge_ood.cli._comparison import report_comparison
from edge_ood.cli._page import leave_export_page
from edge_ood.cli._table import format_table

if TYPE_CHECKING:
    from edge_ood.attachment.attach import Attached

__all__ = ["report_artefact"]


def report_artefact(target: Path, attached: "Attached") -> None:
    """Print thresholds, errors, guarantee and what was chosen; write the page about it."""
    from edge_ood.artifact.guarantee_text import guarantee_text
    from edge_ood.files.output import page_path, report_path

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
    for gradient in attached.parity.gradients:
        typer.echo(
            f"{gradient.head}: gradient within {gradient.worst:.2%} of differences (allowed "
            f"{gradient.allowed:.0%}) along {gradient.compared} directions on {gradient.images} "
            f"images; {gradient.kinks} more at kinks"
        )
    typer.echo(guarantee_text(attached.metadata))
    typer.echo(f"{report_path(target)}: the images on which each output is furthest off")
    if leave_export_page(target):
        typer.echo(f"{page_path(target)}: all of this as a page, and what the thresholds mean")
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
