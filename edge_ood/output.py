"""Writing files so that a reader sees the old one or the whole new one, never a part."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_ood.errors import DataError, InputError

__all__ = ["atomic_output", "check_output", "is_unfinished"]

_PREFIX, _SUFFIX = ".edge-ood-", ".part"


def check_output(path: Path, *, force: bool) -> None:
    """Refuse an output that exists or cannot be written, before any long work.

    Raises:
        InputError: If the file exists and `force` is not set, it is no regular file, or nothing
            can be written in its folder.
    """
    try:
        if path.is_dir():
            raise InputError(f"'{path}' is a folder, expected a file to write", hint="name a file")
        if path.exists() and not path.is_file():
            # Renaming a temporary file over /dev/null would break the machine.
            raise InputError(f"'{path}' is not a regular file", hint="name a file to write")
        if path.exists() and not force:
            raise InputError(f"'{path}' exists", hint="choose another name, or pass --force")
        folder = Path(os.path.realpath(path)).parent
        while not folder.exists():
            folder = folder.parent
        # Asking for permission says yes to root even where the file system says no.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write '{path}': {error.strerror or error}", hint="choose another folder"
        ) from error


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    The folder is made if it is missing; a link is followed; permissions of a file that is
    replaced stay. On an error the temporary file is removed.

    Raises:
        DataError: If the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        # An error that names another file, or a closed pipe, is not about this output.
        if error.filename not in (None, str(temporary)) or error.errno == errno.EPIPE:
            raise
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is an output in the making, or left by a killed process."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write '{path}': {error.strerror or error}",
        hint="free some space or choose another folder; nothing was left behind",
    )
