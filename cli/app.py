"""The command line: wiring only, one file per command."""

from typing import Annotated

import typer

from edge_ood.cli._errors import INTERRUPTED, OneLineErrors
from edge_ood.cli.attach import attach
from edge_ood.cli.bench import bench
from edge_ood.cli.calibrate import calibrate
from edge_ood.cli.check import check
from edge_ood.cli.demo import demo
from edge_ood.cli.evaluate import evaluate
from edge_ood.cli.export import export
from edge_ood.cli.heads import heads
from edge_ood.cli.inspect import inspect
from edge_ood.cli.merge import merge
from edge_ood.cli.score import score
from edge_ood.cli.train import train

__all__ = ["app", "main"]

app = typer.Typer(
    name="edge-ood",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

for command in (
    train,
    export,
    score,
    merge,
    evaluate,
    calibrate,
    attach,
    check,
    bench,
    inspect,
    heads,
    demo,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(metadata.version("edge-ood"))
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Image classifiers that know when an image is not something they were trained for.

    Train, export one ONNX file that decides, score, evaluate, calibrate.
    """


def main() -> None:
    """Entry point of the `edge-ood` command."""
    try:
        app()
    except KeyboardInterrupt:
        # While the command line itself is being set up.
        raise SystemExit(INTERRUPTED) from None
