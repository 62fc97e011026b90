"""Standard streams of a process that was started without them, as some services start theirs."""

import fcntl
import io
import os
import sys

from edge_ood.errors import InputError

__all__ = ["expect_standard_input", "expect_standard_output", "open_standard_streams"]

_STREAMS = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_RDONLY))
"""By descriptor: the name, and what is the wrong way round."""


class _Nowhere(io.TextIOWrapper):
    """In place of a stream that cannot be used: nothing to read, and what is written is lost."""


def open_standard_streams() -> None:
    """Put something in place of each standard stream that is closed, or open the wrong way round.

    Without it, files that are opened later get the numbers of the streams, and libraries write
    their warnings into them.
    """
    for number, (name, wrong_way) in enumerate(_STREAMS):
        if getattr(sys, name) is None or _access(number) == wrong_way:
            # It gets the lowest free number, which is the stream's own where that is closed.
            nowhere = io.BufferedRandom(io.FileIO(os.devnull, "r+"))
            setattr(sys, name, _Nowhere(nowhere, encoding="utf-8"))


def expect_standard_input() -> None:
    """Refuse to read from standard input if it is closed.

    Raises:
        InputError: If it is.
    """
    if isinstance(sys.stdin, _Nowhere):
        raise InputError("cannot read standard input: it is closed", hint="give a list: < FILE")


def expect_standard_output() -> None:
    """Refuse to work, before any work is done, for a standard output that is closed.

    Raises:
        InputError: If it is.
    """
    if isinstance(sys.stdout, _Nowhere):
        raise InputError("cannot write standard output: it is closed", hint="redirect it: > FILE")


def _access(number: int) -> int:
    """What a descriptor is open for: reading, writing or both."""
    try:
        return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:  # closed, or replaced by a stream without a descriptor
        return os.O_RDWR
