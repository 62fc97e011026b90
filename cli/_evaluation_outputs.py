"""Where an evaluation goes: tables on standard output, and files of several kinds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_ood.cli._evaluation_text import evaluation_text
from edge_ood.cli._page import PAGE_LIBRARIES
from edge_ood.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from edge_ood.evaluation.plan import Plan
    from edge_ood.evaluation.results import Evaluation

__all__ = ["Outputs"]

_STDOUT = "-"


@dataclass(frozen=True)
class Outputs:
    """What was asked for, None where it was not.

    Attributes:
        json: File for the document, or `-` for standard output in place of tables.
        csv: File for the table of all numbers, or `-` as above.
        report: File for the page.
        figures: Folder for the figures.
    """

    json: str | None = None
    csv: str | None = None
    report: Path | None = None
    figures: Path | None = None

    def check(self, *, force: bool) -> None:
        """Refuse what cannot be written, before any long work.

        Raises:
            BadParameter: If two outputs want to be standard output, or one that cannot.
            InputError: If a file exists and `force` is not set, cannot be written, or is given
                twice.
            MissingDependencyError: If a library for pages or figures is not installed.
        """
        from edge_ood.files.output import check_output
        from edge_ood.report.figure_folder import check_figure_folder

        if self.json == self.csv == _STDOUT:
            raise typer.BadParameter("--json - and --csv - would both write to standard output")
        if Path(_STDOUT) in (self.report, self.figures):
            raise typer.BadParameter("--report and --figures cannot write to standard output")
        files = list(self._files())
        for path in files:
            check_output(path, force=force)
            if files.count(path) > 1:
                raise InputError(f"'{path}' is to be two outputs", hint="name two files")
        if self.figures is not None:
            check_figure_folder(self.figures, force=force)
            _check_installed("--figures", "matplotlib")
        if self.report is not None:
            _check_installed("--report", *PAGE_LIBRARIES)

    def write(self, evaluation: "Evaluation", plan: "Plan") -> None:
        """Write the files, and print tables or what was asked for in their place."""
        from edge_ood.evaluation.csv_table import csv_table

        document = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        contents = {self.json: document + "\n", self.csv: csv_table(evaluation)}
        printed = contents.pop(_STDOUT, evaluation_text(evaluation) + "\n")
        for name, content in contents.items():
            if name is not None:
                _write(Path(name), content)
        if self.figures is not None:
            _write_figures(self.figures, evaluation)
        if self.report is not None:
            _write_report(self.report, evaluation, plan)
        typer.echo(printed, nl=False)

    def _files(self) -> Iterator[Path]:
        for name in (self.json, self.csv):
            if name is not None and name != _STDOUT:
                yield Path(name)
        if self.report is not None:
            yield self.report


def _check_installed(option: str, *modules: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise MissingDependencyError(option, module, "report")


def _write(path: Path, content: str) -> None:
    from edge_ood.files.output import atomic_output

    with atomic_output(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="")


def _write_figures(folder: Path, evaluation: "Evaluation") -> None:
    from edge_ood.report.evaluation_drawings import drawings
    from edge_ood.report.figure_folder import write_figures

    typer.echo("drawing figures ...", err=True)
    write_figures(drawings(evaluation).values(), folder)


def _write_report(path: Path, evaluation: "Evaluation", plan: "Plan") -> None:
    from edge_ood.report.evaluation_page import evaluation_page
    from edge_ood.report.page import write_page
    from edge_ood.report.thumbnails import thumbnail, thumbnail_of

    def picture(place: int, name: str, image: str) -> str | None:
        pixels = plan.synthetic_image(place, name, image)
        return thumbnail(Path(image)) if pixels is None else thumbnail_of(pixels)

    typer.echo("drawing the page ...", err=True)
    write_page(path, evaluation_page(evaluation, picture))
