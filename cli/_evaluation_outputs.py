"""Where an evaluation goes: tables on standard output, and files of several kinds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_ood.cli._bundles import bundle
from edge_ood.cli._say import say
from edge_ood.cli._streams import expect_standard_output
from edge_ood.errors import UsageError
from edge_ood.evaluation.text import brief_text, evaluation_text

if TYPE_CHECKING:
    from edge_ood.evaluation.evaluation import Evaluation

__all__ = ["Outputs"]

_STDOUT = "-"


@bundle("Files")
class Outputs:
    """What was asked for beside tables, or in their place."""

    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write one page with all figures that needs nothing else."
        ),
    ] = None
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the figures of the page as PNG and SVG."),
    ] = None
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write JSON; - writes it in place of tables."),
    ] = None
    csv_file: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write CSV, a row per artefact, set and head; - writes it in place of tables.",
        ),
    ] = None

    brief: Annotated[
        bool,
        typer.Option("--brief", help="Print no tables: what is recommended, and the verdict."),
    ] = False

    def check(self) -> None:
        """Refuse two outputs on standard output, and those that cannot go there.

        Raises:
            InputError: If there is no file to write, and standard output is closed.
            UsageError: Naming them.
        """
        if not any(self.files().values()) or _STDOUT in (self.json_file, self.csv_file):
            expect_standard_output()
        if self.json_file == self.csv_file == _STDOUT:
            raise UsageError("--json - and --csv - would both write to standard output")
        if Path(_STDOUT) in (self.report, self.figures):
            raise UsageError("--report and --figures cannot write to standard output")

    def files(self) -> dict[str, Any]:
        """What goes to files, as `edge_ood.evaluate` names it."""
        named = {"json": self.json_file, "csv": self.csv_file}
        written = {name: path for name, path in named.items() if path != _STDOUT}
        return {"report": self.report, "figures": self.figures, **written}

    def print(self, evaluation: "Evaluation") -> None:
        """Print tables, or what was asked for in their place."""
        from edge_ood.api.evaluation_files import json_text
        from edge_ood.evaluation.csv_table import csv_table

        if self.json_file == _STDOUT:
            typer.echo(json_text(evaluation), nl=False)
        elif self.csv_file == _STDOUT:
            typer.echo(csv_table(evaluation), nl=False)
        else:
            say(brief_text(evaluation) if self.brief else evaluation_text(evaluation))
