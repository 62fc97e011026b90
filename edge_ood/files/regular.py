"""Opening a file that somebody named, which may be anything but a file.

A pipe waits for a writer for ever, a device may have no end, and to open some devices is an action
(a tape rewinds). Whatever is no regular file is refused, at once and without opening it; so every
file of a user is opened here.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

__all__ = ["open_regular", "read_regular"]


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, reached through links or not, for reading.

    Raises:
        OSError: As `open` does, or saying that it is no regular file.
    """
    # Before it is opened, because that may be an action; and after it, because names can change.
    _check_regular(path, path.stat())
    stream = open(path, "rb", opener=_never_waiting)  # noqa: SIM115  # whoever asked closes it
    try:
        _check_regular(path, os.fstat(stream.fileno()))
    except OSError:
        stream.close()
        raise
    return stream


def read_regular(path: Path) -> bytes:
    """All bytes of a regular file, as long as it was when it was opened.

    Raises:
        OSError: As `open_regular` does, or for want of memory.
    """
    with open_regular(path) as stream:
        # Not to its end: what is written to it meanwhile may never have one.
        size = os.fstat(stream.fileno()).st_size
        try:
            return stream.read(size)
        except MemoryError as error:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), str(path)) from error


def _check_regular(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _never_waiting(path: str, flags: int) -> int:
    """Open a file without waiting, should it have become a pipe a moment ago."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
