"""The one place where library errors become terminal lines and exit codes."""

import errno
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from edge_ood.errors import EdgeOodError
from edge_ood.text import printable

__all__ = ["OneLineErrors"]

_INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OneLineErrors(TyperGroup):
    """Turn `EdgeOodError` into an `error:` and a `hint:` line; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, reporting library errors on stderr."""
        try:
            return super().invoke(ctx)
        except EdgeOodError as error:
            typer.echo(f"error: {printable(str(error))}", err=True)
            if error.hint:
                typer.echo(f"hint: {printable(error.hint)}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has what it wanted.
            _abandon_stdout()
            raise typer.Exit(0) from None
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _abandon_stdout()
            target = f"'{error.filename}'" if error.filename else "standard output"
            typer.echo(f"error: cannot write {target}: {error.strerror}", err=True)
            typer.echo("hint: free some space or write elsewhere", err=True)
            raise typer.Exit(1) from error


def _abandon_stdout() -> None:
    """Python would complain again while flushing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
