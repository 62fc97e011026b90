"""`edge-ood calibrate`: thresholds anew, on the device, without torch."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import Artefact, ConfidenceOption, ForceOption, ProviderOption
from edge_ood.cli._table import format_table
from edge_ood.text import printable

__all__ = ["calibrate"]


def calibrate(
    artefact: Artefact,
    images: Annotated[
        Path | None,
        typer.Argument(metavar="ID_IMAGES", help="Folder of known images from this device."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write here; without it FILE.onnx is replaced."),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="False-alarm rate; the file's own by default. 0.05 needs 19 images."),
    ] = None,
    confidence: ConfidenceOption = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to the calibration before this one.")
    ] = False,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Fit thresholds anew on known images of this device.

    P-values follow, and so do the scores that 'edge-ood check' reproduces. FILE.onnx is replaced at
    once or not at all; --undo brings back what was before, to the bit.

    Example: edge-ood calibrate exported/oe.onnx new_images --alpha 0.01

    Example: edge-ood calibrate exported/oe.onnx new_images --confidence 0.95
    """
    from edge_ood.calibrate import calibrate_artifact, undo_calibration
    from edge_ood.calibration.guarantee import Changes
    from edge_ood.calibration.statement import statement
    from edge_ood.images import find_images
    from edge_ood.output import check_output

    if undo == (images is not None):
        raise typer.BadParameter("give a folder of known images, or --undo, and not both")
    changes = Changes(alpha, confidence)
    if undo and changes != Changes():
        raise typer.BadParameter(
            "--undo restores what was held before; --alpha and --confidence have no place beside it"
        )
    # Replacing the artefact itself is the purpose of this command, so only OUT needs --force.
    check_output(output or artefact, force=force or output is None)
    if images is None:
        report = undo_calibration(artefact, output=output)
    else:
        paths = find_images(images)
        with typer.progressbar(length=len(paths), label="calibrating", file=sys.stderr) as bar:
            report = calibrate_artifact(
                artefact,
                paths,
                changes=changes,
                output=output,
                provider=provider,
                on_image=lambda: bar.update(1),
            )
    after = report.after
    rows = [
        (head, f"{report.before.thresholds[head]:.6g}", f"{threshold:.6g}")
        for head, threshold in after.thresholds.items()
    ]
    typer.echo(format_table(("head", "threshold before", "threshold now"), rows))
    typer.echo(
        f"{output or artefact}: calibrated on {after.n} images, of which "
        f"{after.guarantee.minimum_images} are needed at least"
    )
    typer.echo(statement(after.guarantee, after.n))
    typer.echo(f"recorded on {printable(str(report.metadata.probe.device))}")
