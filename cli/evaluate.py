"""`edge-ood evaluate`: artefacts on ID and OOD images, as tables or JSON."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._bundles import with_bundles
from edge_ood.cli._evaluation_outputs import Outputs
from edge_ood.cli._options import BatchSizeOption, ForceOption, ProviderOption, announce_step
from edge_ood.cli._say import say
from edge_ood.corruptions import CORRUPTIONS
from edge_ood.synthetic import KINDS

__all__ = ["evaluate"]


@with_bundles
def evaluate(
    artifacts: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.onnx...", help="The artefact, or several to compare."),
    ],
    *,
    id_folder: Annotated[
        Path,
        typer.Option(
            "--id",
            metavar="DIR",
            help="ID images; folders named after the classes also give the accuracy.",
        ),
    ],
    ood: Annotated[
        list[str] | None,
        typer.Option(
            "--ood",
            metavar="[NAME=]DIR|KIND",
            help="OOD images, or synthetic ones of a kind, such as gaussian or gaussian:count=500 "
            "(a folder of that name is ./gaussian); repeat it for several sets. Kinds: "
            f"{', '.join(KINDS.names())}.",
        ),
    ] = None,
    near: Annotated[
        list[str] | None,
        typer.Option(
            "--near", metavar="[NAME=]DIR|KIND", help="OOD images that resemble the ID images."
        ),
    ] = None,
    far: Annotated[
        list[str] | None,
        typer.Option("--far", metavar="[NAME=]DIR|KIND", help="OOD images that do not."),
    ] = None,
    shifted: Annotated[
        list[str] | None,
        typer.Option(
            "--shifted",
            metavar="[NAME=]DIR",
            help="Images of the classes under other conditions, such as of another camera, in "
            "folders named after the classes: nothing of them should be flagged.",
        ),
    ] = None,
    corrupted: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,KIND",
            help="ID images corrupted at five strengths: all, or some of "
            f"{', '.join(CORRUPTIONS.names())}; with the number of them as in blur:count=500.",
        ),
    ] = None,
    bootstrap: Annotated[
        int,
        typer.Option(
            min=0, help="Times that images are drawn again for intervals of 95 %; 0 for none."
        ),
    ] = 1000,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen",
            help="Measure even on images that an artefact was made from; the report says so.",
        ),
    ] = False,
    batch_size: BatchSizeOption = 8,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
    outputs: Outputs,
) -> None:
    """Measure how well artefacts tell ID from OOD images.

    Nothing is tuned, and images that an artefact was made from are refused. Sets that share images,
    and copies within one, are warned of.

    Example: edge-ood evaluate exported/oe.onnx --id data/test --near data/svhn --far dtd=data/dtd
    """
    from edge_ood.api.evaluate import evaluate as evaluate_artifacts
    from edge_ood.evaluation.shared_images import SharedImagesWarning
    from edge_ood.metrics.detection import UndefinedMetricWarning

    outputs.check()
    with warnings.catch_warnings(record=True) as caught:
        for category in (SharedImagesWarning, UndefinedMetricWarning):
            warnings.simplefilter("always", category)
        result = evaluate_artifacts(
            artifacts,
            id=id_folder,
            ood=ood or (),
            near=near or (),
            far=far or (),
            shifted=shifted or (),
            corrupted=corrupted,
            bootstrap=bootstrap,
            allow_seen=allow_seen,
            batch_size=batch_size,
            provider=provider,
            force=force,
            on_step=announce_step,
            progress=_progress,
            **outputs.files(),
        )
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"warning: {message}", err=True)
    outputs.print(result)


@contextmanager
def _progress(label: str, length: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, and what moves it on by one."""
    if not length:
        yield lambda: None
        return
    with typer.progressbar(length=length, label=label, show_pos=True, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
