"""What commands say to people, whatever is in the names that they quote."""

import typer

from edge_ood.files.text import printable

__all__ = ["say"]


def say(text: str, *, err: bool = False) -> None:
    r"""Print lines of text; what could steer a terminal stands as `\x1b`.

    Data for programs do not pass through here. A name that may hold line breaks is made
    `printable` by whoever puts it into a line.
    """
    typer.echo("\n".join(map(printable, text.split("\n"))), err=err)
