"""`edge-ood calibrate`: thresholds anew, on the device, without torch."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_ood.cli._bundles import with_bundles
from edge_ood.cli._options import (
    ArtifactArgument,
    ConfidenceOption,
    PerClassOption,
    ProviderOption,
    print_note,
)
from edge_ood.cli._say import say
from edge_ood.cli._score_on_ray import Engine

__all__ = ["calibrate"]


@with_bundles
def calibrate(
    artifact: ArtifactArgument,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID_IMAGES",
            help="Folders of ID images from this device; or URLs and archives, as in score.",
        ),
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
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite what is there; take images that FILE.onnx mostly flags."
        ),
    ] = False,
    engine: Engine,
) -> None:
    """Fit thresholds anew on ID images of this device.

    P-values follow, and so do the scores that 'edge-ood check' reproduces. FILE.onnx is replaced at
    once or not at all; --undo brings back what was before, to the bit. A page beside it, such as
    FILE.report.html, is written anew.

    Example: edge-ood calibrate exported/oe.onnx new_images --alpha 0.01

    Example: edge-ood calibrate exported/oe.onnx new_images --confidence 0.95

    Example: edge-ood calibrate exported/oe.onnx new_images --per-class

    Example: edge-ood calibrate exported/oe.onnx --threshold energy=-4.5
    """
    from edge_ood.api.calibrate import calibrate as calibrate_file

    manual = _thresholds(threshold or [])
    with _progress() as on_image:
        report = calibrate_file(
            artifact,
            images or None,
            output=output,
            alpha=alpha,
            confidence=confidence,
            per_class=per_class,
            combined=combined,
            thresholds=manual,
            undo=undo,
            provider=provider,
            cluster=engine.cluster_or_none(provider),
            force=force,
            on_image=on_image,
            on_note=print_note,
        )
    say(str(report))


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """What moves a bar on by one, which begins with the first image."""
    with ExitStack() as stack:
        bars: list[Any] = []

        def on_image(total: int) -> None:
            if not total:  # only reading them all would tell how many there are
                return
            if not bars:
                bar = typer.progressbar(length=total, label="calibrating", file=sys.stderr)
                bars.append(stack.enter_context(bar))
            bars[0].update(1)

        yield on_image


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
