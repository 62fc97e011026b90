"""Leaving a page beside what a command has made; a page is never what the command is for."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from edge_ood.cli._options import print_note
from edge_ood.errors import EdgeOodError
from edge_ood.files.text import printable

__all__ = ["PAGE_LIBRARIES", "leave_export_page", "leave_training_page", "renew_export_page"]

PAGE_LIBRARIES = ("jinja2", "matplotlib")
"""What a page with figures needs beside the base installation, the extra `report`."""


def leave_training_page(run: Path) -> bool:
    """Write the page of a run into its directory; False where that failed, with a note."""
    from edge_ood.training.run_directory import PAGE_FILE

    def page() -> str:
        from edge_ood.report.training_page import training_page

        return training_page(run)

    return _leave(run / PAGE_FILE, page)


def leave_export_page(artefact: Path) -> bool:
    """Write the page of an artefact beside it; False where that failed, with a note."""
    from edge_ood.files.output import page_path

    def page() -> str:
        from edge_ood.report.export_page import export_page

        return export_page(artefact)

    return _leave(page_path(artefact), page)


def renew_export_page(artefact: Path) -> bool:
    """As `leave_export_page`, but only where there is one already."""
    from edge_ood.files.output import page_path

    return page_path(artefact).exists() and leave_export_page(artefact)


def _leave(path: Path, page: Callable[[], str]) -> bool:
    try:
        from edge_ood.report.page import write_page

        write_page(path, page())
    except EdgeOodError as error:
        # What an old page says would be about something that is no longer there.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        hint = f"; {error.hint}" if error.hint else ""
        print_note(f"no page '{printable(str(path))}': {error}{hint}")
        return False
    return True
