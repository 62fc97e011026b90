"""`edge-ood calibrate`: thresholds anew, on the device, without torch."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_ood.cli._options import (
    Artefact,
    ConfidenceOption,
    ForceOption,
    PerClassOption,
    ProviderOption,
)
from edge_ood.cli._page import renew_export_page
from edge_ood.cli._table import format_table
from edge_ood.files.text import printable

if TYPE_CHECKING:
    from edge_ood.calibration.guarantee import Changes
    from edge_ood.runtime.calibrate import CalibrationReport

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
    per_class: PerClassOption = None,
    combined: Annotated[
        bool | None,
        typer.Option(
            "--combined/--no-combined",
            help="Decide by all scores together, too: the output 'combined'. 0.05 needs 38 images.",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEAD=VALUE",
            help="Decide by a manual threshold, for which no rate is held; repeat it for several "
            "heads. ID_IMAGES are not needed then.",
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to the calibration before this one.")
    ] = False,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Fit thresholds anew on known images of this device.

    P-values follow, and so do the scores that 'edge-ood check' reproduces. FILE.onnx is replaced at
    once or not at all; --undo brings back what was before, to the bit. A page beside it, such as
    FILE.report.html, is written anew.

    Example: edge-ood calibrate exported/oe.onnx new_images --alpha 0.01

    Example: edge-ood calibrate exported/oe.onnx new_images --confidence 0.95

    Example: edge-ood calibrate exported/oe.onnx new_images --per-class

    Example: edge-ood calibrate exported/oe.onnx --threshold energy=-4.5
    """
    from edge_ood.calibration.guarantee import Changes
    from edge_ood.files.output import check_output

    changes = Changes(alpha, confidence, per_class, combined, _thresholds(threshold or []))
    if undo and (images is not None or changes != Changes()):
        raise typer.BadParameter(
            "--undo restores what was held before; give it without images and other options"
        )
    own_alone = changes.thresholds and changes == Changes(thresholds=changes.thresholds)
    if not undo and images is None and not own_alone:
        raise typer.BadParameter("give a folder of known images, or --threshold or --undo alone")
    # Replacing the artefact itself is the purpose of this command, so only OUT needs --force.
    check_output(output or artefact, force=force or output is None)
    _report(output or artefact, _calibrated(artefact, images, changes, output, provider))
    renew_export_page(output or artefact)


def _calibrated(
    artefact: Path, images: Path | None, changes: "Changes", output: Path | None, provider: str
) -> "CalibrationReport":
    """Calibrate on images, by thresholds alone, or backwards."""
    from edge_ood.images.folders import find_images
    from edge_ood.runtime.calibrate import calibrate_artifact, set_thresholds, undo_calibration

    if images is None and changes.thresholds:
        return set_thresholds(artefact, changes.thresholds, output=output)
    if images is None:
        return undo_calibration(artefact, output=output)
    paths = find_images(images)
    with typer.progressbar(length=len(paths), label="calibrating", file=sys.stderr) as bar:
        return calibrate_artifact(
            artefact,
            paths,
            changes=changes,
            output=output,
            provider=provider,
            on_image=lambda: bar.update(1),
        )


def _thresholds(texts: Sequence[str]) -> dict[str, float]:
    """Numbers by head of words such as `energy=-4.5`."""
    found = {}
    for text in texts:
        head, _, value = text.partition("=")
        try:
            found[head] = float(value)
        except ValueError as error:
            raise typer.BadParameter(
                f"--threshold is {text!r}, expected a score and a number such as energy=-4.5"
            ) from error
    return found


def _report(target: Path, report: "CalibrationReport") -> None:
    from edge_ood.artifact.guarantee_text import guarantee_text

    after, before = report.after, report.before.thresholds
    rows = [
        (head, f"{before[head]:.6g}" if head in before else "-", f"{threshold:.6g}")
        for head, threshold in after.thresholds.items()
    ]
    typer.echo(format_table(("head", "threshold before", "threshold now"), rows))
    typer.echo(
        f"{target}: calibrated on {after.n} images, "
        f"of which {after.guarantee.needed_images} are needed at least"
    )
    typer.echo(guarantee_text(report.metadata))
    typer.echo(f"recorded on {printable(str(report.metadata.probe.device))}")
