"""Reading one file that may be anything: a video, a pipe, a link to itself, a terabyte of zeros."""

import os
import stat
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.images.decoding.signatures import SIGNATURE_BYTES, check_is_decoded

__all__ = ["read_image_file"]

_MOST_BYTES = 2**30


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file; of what is no image only the beginning is read.

    Raises:
        DataError: If the file cannot be read, is none that is decoded, or is too large to be one;
            its `status` is the word for a score table.
    """
    try:
        # Before it is opened, because opening some devices is an action.
        file = path.stat()
        _check_regular(path, file.st_mode)
        with open(path, "rb", buffering=0, opener=_never_waiting) as stream:
            head = stream.read(SIGNATURE_BYTES) or b""
            check_is_decoded(head, f"'{path}'")
            if file.st_size > _MOST_BYTES:
                raise DataError(
                    f"'{path}' is too large: {file.st_size} bytes, at most {_MOST_BYTES} are read",
                    hint="scale it down",
                    status="too-large",
                )
            stream.seek(0)
            # As long as it was: what is written to it meanwhile may never end.
            return stream.read(file.st_size) or b""
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read '{path}': {reason}", hint="check the file") from error


def _check_regular(path: Path, mode: int) -> None:
    kind = "not a regular file"
    if stat.S_ISDIR(mode):
        os.scandir(path).close()  # its error is the reason, if it is closed
        kind = "a link to a folder that it lies in" if path.is_symlink() else "a folder"
    if not stat.S_ISREG(mode):
        raise DataError(f"cannot read '{path}': {kind}", hint="check the file")


def _never_waiting(path: str, flags: int) -> int:
    """Open a file without waiting, should it have become a pipe a moment ago."""
    return os.open(path, flags | os.O_NONBLOCK)
