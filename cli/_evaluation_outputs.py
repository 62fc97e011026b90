"""Where an evaluation goes: tables on standard output, and files of several kinds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_ood.cli._evaluation_text import evaluation_text
from edge_ood.errors import InputError

if TYPE_CHECKING:
    from edge_ood.evaluation.results import Evaluation

__all__ = ["Outputs"]

_STDOUT = "-"


@dataclass(frozen=True)
class Outputs:
    """What was asked for.

    Attributes:
        json: File for the document, `-` for standard output in place of tables, or None.
        csv: File for the table of all numbers, `-` as above, or None.
    """

    json: str | None = None
    csv: str | None = None

    def check(self, *, force: bool) -> None:
        """Refuse what cannot be written, before any long work.

        Raises:
            BadParameter: If two outputs want to be standard output.
            InputError: If a file exists and `force` is not set, cannot be written, or is given
                twice.
        """
        from edge_ood.output import check_output

        if [self.json, self.csv].count(_STDOUT) > 1:
            raise typer.BadParameter("--json - and --csv - would both write to standard output")
        files = [Path(name) for name in (self.json, self.csv) if name not in (None, _STDOUT)]
        for path in files:
            check_output(path, force=force)
            if files.count(path) > 1:
                raise InputError(f"'{path}' is to be two outputs", hint="name two files")

    def write(self, evaluation: "Evaluation") -> None:
        """Write the files, and print tables or what was asked for in their place."""
        from edge_ood.evaluation.csv_table import csv_table

        document = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        contents = {self.json: document + "\n", self.csv: csv_table(evaluation)}
        printed = contents.pop(_STDOUT, evaluation_text(evaluation) + "\n")
        for name, content in contents.items():
            if name is not None:
                _write(Path(name), content)
        typer.echo(printed, nl=False)


def _write(path: Path, content: str) -> None:
    from edge_ood.output import atomic_output

    with atomic_output(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="")
