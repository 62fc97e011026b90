"""Where an evaluation goes: a document, a table, a page and figures."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_ood.errors import InputError, MissingDependencyError
from edge_ood.evaluation.csv_table import csv_table
from edge_ood.evaluation.evaluation import Evaluation
from edge_ood.evaluation.plan import Plan
from edge_ood.files.output import atomic_output, check_output, check_page_name
from edge_ood.report.figure_folder import check_figure_folder, write_figures
from edge_ood.report.leave import PAGE_LIBRARIES

__all__ = ["EvaluationFiles", "json_text"]


@dataclass(frozen=True, kw_only=True)
class EvaluationFiles:
    """What was asked for, None where it was not.

    Attributes:
        json: File for the document.
        csv: File for the table of all numbers.
        report: File for the page.
        figures: Folder for the figures.
    """

    json: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    figures: Path | None = None

    def check(self, *, force: bool) -> None:
        """Refuse what cannot be written, before any long work.

        Raises:
            InputError: If a file exists and `force` is not set, cannot be written, or is given
                twice.
            MissingDependencyError: If a library for pages or figures is not installed.
        """
        files = list(self._files())
        for path in files:
            check_output(path, force=force)
            if files.count(path) > 1:
                raise InputError(f"'{path}' is to be two outputs", hint="name two files")
        if self.figures is not None:
            check_figure_folder(self.figures, force=force)
            _check_installed("--figures", "matplotlib")
        if self.report is not None:
            check_page_name(self.report)
            _check_installed("--report", *PAGE_LIBRARIES)

    def write(self, evaluation: Evaluation, plan: Plan, on_step: Callable[[str], None]) -> None:
        """Write what was asked for; `on_step` hears what takes a while."""
        if self.json is not None:
            _write(self.json, json_text(evaluation))
        if self.csv is not None:
            _write(self.csv, csv_table(evaluation))
        if self.figures is not None:
            on_step("figures")
            _write_figures(self.figures, evaluation)
        if self.report is not None:
            on_step("page")
            _write_report(self.report, evaluation, plan)

    def _files(self) -> Iterator[Path]:
        yield from (path for path in (self.json, self.csv, self.report) if path is not None)


def json_text(evaluation: Evaluation) -> str:
    """The document of an evaluation as text."""
    document = evaluation.to_json()
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _check_installed(option: str, *modules: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise MissingDependencyError(option, module, "report")


def _write(path: Path, content: str) -> None:
    with atomic_output(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="")


def _write_figures(folder: Path, evaluation: Evaluation) -> None:
    from edge_ood.report.evaluation_drawings import drawings  # noqa: PLC0415  # an extra

    write_figures(drawings(evaluation).values(), folder)


def _write_report(path: Path, evaluation: Evaluation, plan: Plan) -> None:
    from edge_ood.report.evaluation_page import evaluation_page  # noqa: PLC0415  # an extra
    from edge_ood.report.page import write_page  # noqa: PLC0415  # an extra
    from edge_ood.report.thumbnails import thumbnail, thumbnail_of  # noqa: PLC0415  # with it

    def picture(place: int, name: str, image: str) -> str | None:
        pixels = plan.synthetic_image(place, name, image)
        return thumbnail(Path(image)) if pixels is None else thumbnail_of(pixels)

    write_page(path, evaluation_page(evaluation, picture))
