"""`edge-ood evaluate`: artefacts on known and foreign images, as tables or JSON."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import BatchSizeOption, ForceOption, ProviderOption
from edge_ood.corruptions import CORRUPTIONS
from edge_ood.files.text import valid_text
from edge_ood.synthetic import KINDS

__all__ = ["evaluate"]


def evaluate(
    artefacts: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.onnx...", help="The artefact, or several to compare."),
    ],
    *,
    id_folder: Annotated[
        Path,
        typer.Option(
            "--id",
            metavar="DIR",
            help="Known images; folders named after the classes also give the accuracy.",
        ),
    ],
    ood: Annotated[
        list[str] | None,
        typer.Option(
            "--ood",
            metavar="[NAME=]DIR|KIND",
            help="Foreign images, or made ones of a kind, such as gaussian or gaussian:count=500 "
            "(a folder of that name is ./gaussian); repeat it for several sets. Kinds: "
            f"{', '.join(KINDS.names())}.",
        ),
    ] = None,
    near: Annotated[
        list[str] | None,
        typer.Option(
            "--near", metavar="[NAME=]DIR|KIND", help="Foreign images that resemble known ones."
        ),
    ] = None,
    far: Annotated[
        list[str] | None,
        typer.Option("--far", metavar="[NAME=]DIR|KIND", help="Foreign images that do not."),
    ] = None,
    corrupted: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,KIND",
            help="Known images spoilt at five strengths: all, or some of "
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
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write JSON; - writes it in place of tables."),
    ] = None,
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write CSV, a row per artefact, set and head; - writes it in place of tables.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write one page with all figures that needs nothing else."
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the figures of the page as PNG and SVG."),
    ] = None,
    batch_size: BatchSizeOption = 8,
    provider: ProviderOption = "auto",
    force: ForceOption = False,
) -> None:
    """Measure how well artefacts tell known from foreign.

    Nothing is tuned, and images that an artefact was made from are refused.

    Example: edge-ood evaluate exported/oe.onnx --id data/test --near data/svhn --far dtd=data/dtd
    """
    from edge_ood.cli._evaluation_outputs import Outputs
    from edge_ood.evaluation.artifacts import open_artifacts
    from edge_ood.evaluation.corrupted import parse_corruptions
    from edge_ood.evaluation.evaluate import measure_answers, score_plan
    from edge_ood.evaluation.plan import plan_evaluation
    from edge_ood.evaluation.results import Bootstrap
    from edge_ood.evaluation.sets import parse_sets
    from edge_ood.images.folders import read_images
    from edge_ood.metrics.detection import UndefinedMetricWarning

    outputs = Outputs(json_file, csv_file, report, figures)
    outputs.check(force=force)
    sets = parse_sets(ood or [], near or [], far or [])
    spoilt = parse_corruptions(corrupted) if corrupted else ()
    models = open_artifacts(artefacts, provider=provider)
    classes = dict.fromkeys(name for m in models for name in m.scorer.metadata.classes)
    known = read_images(id_folder, list(classes))
    typer.echo("checking that no image was seen before ...", err=True)
    plan = plan_evaluation(
        models, valid_text(str(id_folder)), known, sets, corrupted=spoilt, allow_overlap=allow_seen
    )
    n_measured = len(plan.tasks) * len(plan.ood) if bootstrap else 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedMetricWarning)
        with _progress("scoring", plan.n_images) as on_image:
            answers = score_plan(plan, batch_size=batch_size, on_image=on_image)
        with _progress("measuring", n_measured) as on_set:
            result = measure_answers(plan, answers, bootstrap=Bootstrap(bootstrap), on_set=on_set)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        typer.echo(f"warning: {message}", err=True)
    outputs.write(result, plan)


@contextmanager
def _progress(label: str, length: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, and what moves it on by one."""
    if not length:
        yield lambda: None
        return
    with typer.progressbar(length=length, label=label, show_pos=True, file=sys.stderr) as bar:
        yield lambda: bar.update(1)
