"""What commands say to people, whatever is in the names that they quote."""

import os
import re
import sys
from typing import TextIO

import typer

from edge_ood.files.text import printable

__all__ = ["may_colour", "say"]

_COLOURS = {"error": "red", "hint": "cyan", "warning": "yellow", "note": "blue"}
_LABEL = re.compile(rf"^(?:{'|'.join(_COLOURS)})(?=: )")


def say(text: str, *, err: bool = False) -> None:
    r"""Print lines of text; what could steer a terminal stands as `\x1b`.

    Data for programs do not pass through here. A name that may hold line breaks is made
    `printable` by whoever puts it into a line. On a terminal the first word of an error, a hint, a
    warning or a note has a colour, unless NO_COLOR is set (no-color.org) or TERM is `dumb`.
    """
    shown = "\n".join(map(printable, text.split("\n")))
    if err and os.environ.get("TERM") != "dumb" and may_colour(sys.stderr):
        shown = _LABEL.sub(_coloured, shown)
    typer.echo(shown, err=err)


def may_colour(stream: TextIO) -> bool:
    """Whether it is a terminal, and nobody set NO_COLOR (no-color.org)."""
    return not os.environ.get("NO_COLOR") and stream.isatty()


def _coloured(label: re.Match[str]) -> str:
    return typer.style(label[0], fg=_COLOURS[label[0]], bold=True)
