"""A folder of figures, each as PNG and as SVG."""

import textwrap
from collections.abc import Iterable
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.files.output import check_writable, publish
from edge_ood.files.temporary import temporary_folder
from edge_ood.report.evaluation_drawings import Drawing
from edge_ood.report.figure import write_figure
from edge_ood.report.palette import INK

__all__ = ["check_figure_folder", "write_figures"]

_TITLE_WIDTH, _TITLE_PT = 50, 10


def check_figure_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder that has something in it or cannot be written, before any long work.

    Raises:
        InputError: If it is a file, has content and `force` is not set, or nothing can be written
            there.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"'{folder}' is a file, expected a folder", hint="name a folder")
        if folder.is_dir() and next(folder.iterdir(), None) is not None and not force:
            raise InputError(
                f"folder '{folder}' is not empty",
                hint="choose another one, or pass --force to put the figures beside what is there",
            )
    except OSError as error:
        raise InputError(
            f"cannot look into '{folder}': {error.strerror}", hint="choose another folder"
        ) from error
    check_writable(folder / "figure.png")


def write_figures(drawings: Iterable[Drawing], folder: Path) -> None:
    """Write `NAME.png` and `NAME.svg` of each, once all of them are drawn.

    The folder is made if it is missing; figures of the same names are replaced, anything else in
    it stays.

    Raises:
        DataError: If the folder cannot be written.
        MissingDependencyError: If matplotlib is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder / "figures", private=True) as made:
            for drawing in drawings:
                figure = drawing.draw()
                title = textwrap.fill(drawing.title, _TITLE_WIDTH)
                figure.suptitle(title, fontsize=_TITLE_PT, color=INK, parse_math=False)
                write_figure(figure, made, drawing.name)
            for path in sorted(made.iterdir()):
                publish(path, folder / path.name)
    except OSError as error:
        raise DataError(
            f"cannot write '{error.filename or folder}': {error.strerror}",
            hint="free some space or choose another folder",
        ) from error
