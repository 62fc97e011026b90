"""What a person sees of making an artefact on stderr: a line a step, and a bar within long ones."""

import sys
from types import TracebackType
from typing import Any

import typer

from edge_ood.cli._options import announce_step, print_note

__all__ = ["StepDisplay"]


class StepDisplay:
    """Steps and notes; bars on terminals alone."""

    def __init__(self) -> None:
        self._bar: Any = None  # click's own type is generic in what it iterates over

    def __enter__(self) -> "StepDisplay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_bar()

    def step(self, name: str) -> None:
        """Say what comes next."""
        self._end_bar()
        announce_step(name)

    def note(self, note: str) -> None:
        """Say what the user should know."""
        self._end_bar()
        print_note(note)

    def show(self, done: int, total: int) -> None:
        """Move the bar of this step on."""
        if not sys.stderr.isatty():
            return
        if self._bar is not None and done < self._bar.pos:
            self._end_bar()
        if self._bar is None:
            self._bar = typer.progressbar(length=total, show_pos=True, file=sys.stderr)
            self._bar.__enter__()
        self._bar.update(done - self._bar.pos)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
