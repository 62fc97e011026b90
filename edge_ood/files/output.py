"""Writing files so that a reader sees the old one or the whole new one, never a part."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_ood.errors import DataError, InputError

__all__ = [
    "atomic_output",
    "check_artifact",
    "check_output",
    "check_writable",
    "discard",
    "is_unfinished",
    "page_path",
    "publish",
    "replacing",
    "report_path",
    "temporary_name",
]

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
    except OSError as error:
        raise _cannot_begin(path, error) from error
    check_writable(path)


def check_artifact(path: Path, *, force: bool) -> None:
    """As `check_output`, for an artefact with the parity report and the page beside it.

    Raises:
        InputError: As `check_output` does, naming the one of them that is meant.
    """
    for output in (path, report_path(path), page_path(path)):
        check_output(output, force=force)


def check_writable(path: Path) -> None:
    """Refuse an output in whose folder nothing can be written.

    Raises:
        InputError: Naming the output and what the file system says.
    """
    try:
        folder = Path(os.path.realpath(path)).parent
        while not folder.exists():
            folder = folder.parent
        # Asking for permission says yes to root even where the file system says no.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_begin(path, error) from error


@contextlib.contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    The folder is made if it is missing; a link is followed; permissions of a file that is
    replaced stay. On an error the temporary file is removed.

    Raises:
        DataError: If the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with replacing(target) as temporary:
            yield temporary
    except OSError as error:
        # An error that names another file, or a closed pipe, is not about this output.
        ours = error.filename is None or is_unfinished(Path(error.filename).name)
        if not ours or error.errno == errno.EPIPE:
            raise
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """As `atomic_output`, in a folder that exists, for a path without links; errors are raw."""
    temporary = temporary_name(target)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(made: Path, target: Path) -> None:
    """Put a finished file, or folder of files, where an old one may be.

    Permissions of a file that is replaced stay. A file takes the place of a file at once; between
    an old folder and a new one there is a moment without either.

    Args:
        made: The file or folder, in the target's folder or below it; its content is on the disk.
        target: The place, with links resolved.
    """
    if made.is_dir() and target.is_dir():
        discard(target)
    elif made.is_dir():
        target.unlink(missing_ok=True)
    elif target.exists():
        shutil.copymode(target, made)
    made.replace(target)
    _sync_folder(target.parent)


def discard(folder: Path) -> None:
    """Remove a folder: it is gone at once, its content bit by bit under a temporary name."""
    leaving = temporary_name(folder)
    folder.replace(leaving)
    shutil.rmtree(leaving)


def temporary_name(target: Path) -> Path:
    """A new name beside the target, which `is_unfinished` knows."""
    return target.with_name(f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is an output in the making, or left by a killed process."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def report_path(artifact: Path) -> Path:
    """Where the parity report of an artefact lies: `x.parity.json` beside `x.onnx`."""
    return _beside(artifact, "parity.json")


def page_path(artifact: Path) -> Path:
    """Where the page about an artefact lies: `x.report.html` beside `x.onnx`."""
    return _beside(artifact, "report.html")


def _beside(artifact: Path, ending: str) -> Path:
    return artifact.with_name(f"{artifact.name.removesuffix('.onnx')}.{ending}")


def _sync_folder(folder: Path) -> None:
    """See to it that a new name in the folder outlives a power cut."""
    # Some file systems cannot, and a folder may be one to write in but not to read.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _cannot_begin(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write '{path}': {error.strerror or error}", hint="choose another folder"
    )


def _cannot_write(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write '{path}': {error.strerror or error}",
        hint="free some space or choose another folder; nothing was left behind",
    )
