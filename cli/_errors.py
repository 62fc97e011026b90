"""The one place where library errors become terminal lines and exit codes."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from edge_ood.errors import EdgeOodError

__all__ = ["OneLineErrors"]

_INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """Turn `EdgeOodError` into an `error:` and a `hint:` line; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, reporting library errors on stderr."""
        try:
            return super().invoke(ctx)
        except EdgeOodError as error:
            typer.echo(f"error: {_one_line(str(error))}", err=True)
            if error.hint:
                typer.echo(f"hint: {_one_line(error.hint)}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has what it wanted. Python would complain again while flushing at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


def _one_line(text: str) -> str:
    return " ".join(text.split())
