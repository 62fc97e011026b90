"""Leaving a page beside what was made; a page is never what the work is for."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from edge_ood.errors import EdgeOodError
from edge_ood.files.output import page_path
from edge_ood.files.text import printable
from edge_ood.training.run_directory import PAGE_FILE

__all__ = ["PAGE_LIBRARIES", "leave_export_page", "leave_training_page", "renew_export_page"]

PAGE_LIBRARIES = ("jinja2", "matplotlib")
"""What a page with figures needs beside the base installation, the extra `report`."""


def leave_training_page(run: Path, on_note: Callable[[str], None]) -> bool:
    """Write the page of a run into its directory; False where that failed, with a note."""

    def page() -> str:
        from edge_ood.report.training_page import training_page  # noqa: PLC0415  # an extra

        return training_page(run)

    return _leave(run / PAGE_FILE, page, on_note)


def leave_export_page(artifact: Path, on_note: Callable[[str], None]) -> bool:
    """Write the page of an artefact beside it; False where that failed, with a note."""

    def page() -> str:
        from edge_ood.report.export_page import export_page  # noqa: PLC0415  # an extra

        return export_page(artifact)

    return _leave(page_path(artifact), page, on_note)


def renew_export_page(artifact: Path, on_note: Callable[[str], None]) -> bool:
    """As `leave_export_page`, but only where there is one already."""
    return page_path(artifact).exists() and leave_export_page(artifact, on_note)


def _leave(path: Path, page: Callable[[], str], on_note: Callable[[str], None]) -> bool:
    try:
        from edge_ood.report.page import write_page  # noqa: PLC0415  # an extra

        write_page(path, page())
    except EdgeOodError as error:
        # What an old page says would be about something that is no longer there.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        hint = f"; {error.hint}" if error.hint else ""
        on_note(f"no page '{printable(str(path))}': {error}{hint}")
        return False
    return True
