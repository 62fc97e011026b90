"""Writing files so that a reader sees the old one or the whole new one, never a part."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_ood.errors import DataError, InputError

__all__ = ["atomic_output", "check_output"]


def check_output(path: Path, *, force: bool) -> None:
    """Refuse an output that exists or cannot be written, before any long work.

    Raises:
        InputError: If the file exists and `force` is not set, or its folder is not writable.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, expected a file to write", hint="name a file")
    if path.exists() and not force:
        raise InputError(f"'{path}' exists", hint="choose another name, or pass --force")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"cannot write '{path}': no permission in '{folder}'", hint="check --output"
        )


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    The folder is made if it is missing. On an error the temporary file is removed.

    Raises:
        DataError: If the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"cannot write '{path}': {error.strerror or error}",
            hint="free some space or choose another folder; nothing was left behind",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
