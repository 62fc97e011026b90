"""The one place where library errors become terminal lines and exit codes."""

import contextlib
import errno
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from edge_ood.cli._say import say
from edge_ood.errors import EdgeOodError
from edge_ood.files.text import printable

__all__ = ["INTERRUPTED", "OneLineErrors", "report_full_disk", "sigterm_interrupts"]

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""

_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # which Typer has under changing names
_TERMINATED = 128 + signal.SIGTERM
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OneLineErrors(TyperGroup):
    """Turn errors into an `error:` and a `hint:` line; bugs keep their traceback."""

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Read the words before the command, reporting wrong ones in the same two lines."""
        with _usage_errors():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, reporting library errors on stderr."""
        try:
            with _usage_errors():
                return super().invoke(ctx)
        except EdgeOodError as error:
            say(f"error: {printable(str(error))}", err=True)
            if error.hint:
                say(f"hint: {printable(error.hint)}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as stop:
            say(": ".join(["interrupted", *map(str, stop.args)]), err=True)
            code = _TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED
            raise typer.Exit(code) from None
        except BrokenPipeError:
            # The reader has what it wanted.
            _abandon_stdout()
            raise typer.Exit(0) from None
        except OSError as error:
            raise typer.Exit(report_full_disk(error)) from error


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """Have wrong words of the command line shown as all other errors are."""
    try:
        yield
    except _USAGE_ERROR as error:
        if type(error).show is _USAGE_ERROR.show:  # not the one that shows the help
            error.show = functools.partial(_show_usage_error, error)
        raise


def _show_usage_error(error: Any, **_: object) -> None:
    # It quotes words of the command line, which shells take from names of files.
    message = printable(error.format_message()).removesuffix(".")
    say(f"error: {message[:1].lower()}{message[1:]}", err=True)
    if error.ctx is not None:
        say(f"hint: {error.ctx.command_path} --help", err=True)


def report_full_disk(error: OSError) -> int:
    """Say that there is no room, and return the exit code; any other error is raised again."""
    if error.errno not in _NO_ROOM:
        raise error
    _abandon_stdout()
    target = f"'{printable(str(error.filename))}'" if error.filename else "standard output"
    say(f"error: cannot write {target}: {error.strerror}", err=True)
    say("hint: free some space or write elsewhere", err=True)
    return 1


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it before they kill."""


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that it can save what is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def _abandon_stdout() -> None:
    """Python would complain again while flushing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
