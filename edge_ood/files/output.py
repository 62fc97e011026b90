"""Writing files so that a reader sees the old one or the whole new one, never a part."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_ood.errors import DataError, EdgeOodError, InputError
from edge_ood.files.temporary import is_unfinished, remove_leftovers, temporary_name

__all__ = [
    "atomic_output",
    "attached_path",
    "check_artifact",
    "check_output",
    "check_page_name",
    "check_writable",
    "discard",
    "locked_folder",
    "page_path",
    "publish",
    "replacing",
    "report_path",
    "under_its_name",
]

_PRIVATE = 0o600
_ANY_NEW_FILE = 0o666  # less what the process takes away (umask)


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


def check_page_name(path: Path) -> None:
    """Refuse a page whose name says that it is something else.

    Raises:
        InputError: If it ends neither in .html nor in .htm.
    """
    if path.suffix.lower() not in {".html", ".htm"}:
        raise InputError(
            f"'{path}' is to be a page, and does not end in .html",
            hint=f"{path.with_suffix('.html').name}; browsers print it as PDF",
        )


def check_artifact(path: Path, *, force: bool) -> None:
    """As `check_output`, for an artefact with the parity report and the page beside it.

    Raises:
        InputError: As `check_output` does, naming the one of them that is meant; or if it does not
            end in .onnx.
    """
    if path.suffix.lower() != ".onnx":
        raise InputError(
            f"'{path}' is to be an ONNX file, and does not end in .onnx",
            hint=f"{path.with_suffix('.onnx').name}",
        )
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
def locked_folder(path: Path) -> Iterator[None]:
    """Wait until no other edge-ood replaces a file beside `path`, and keep others waiting.

    The kernel ends it with this process, however that ends. Where a file system knows no locks, or
    the folder is not there yet, nobody waits.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    The folder is made if it is missing; a link is followed; permissions of a file that is
    replaced stay, and until then only its owner can read the new one. On an error the temporary
    file is removed; what killed commands left in the folder is, too.

    Raises:
        DataError: If the disk is full or the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with replacing(target) as temporary, under_its_name(temporary, path):
            yield temporary
    except OSError as error:
        # An error that names another file, or a closed pipe, is not about this output.
        ours = error.filename is None or is_unfinished(Path(error.filename).name)
        if not ours or error.errno == errno.EPIPE:
            raise
        raise _cannot_write(path, error) from error


@contextlib.contextmanager
def under_its_name(temporary: Path, path: Path | str) -> Iterator[None]:
    """Let errors name a file as the user does, who never sees the temporary one."""
    try:
        yield
    except EdgeOodError as error:
        error.args = (str(error).replace(str(temporary), str(path)), *error.args[1:])
        raise


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """As `atomic_output`, in a folder that exists, for a path without links; errors are raw."""
    temporary = temporary_name(target)
    try:
        mode = _make_private(temporary)
        remove_leftovers(temporary)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if not target.exists():
            _set_mode(temporary, mode)
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(made: Path, target: Path) -> None:
    """Put a finished file, or folder of files, where an old one may be.

    Permissions of what is replaced stay. A file takes the place of a file at once; between an old
    folder and a new one there is a moment without either.

    Args:
        made: The file or folder, in the target's folder or below it; its content is on the disk.
        target: The place, with links resolved.
    """
    if made.is_dir() and target.is_dir():
        shutil.copymode(target, made)
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


def report_path(artifact: Path) -> Path:
    """Where the parity report of an artefact lies: `x.parity.json` beside `x.onnx`."""
    return _beside(artifact, "parity.json")


def page_path(artifact: Path) -> Path:
    """Where the page about an artefact lies: `x.report.html` beside `x.onnx`."""
    return _beside(artifact, "report.html")


def attached_path(classifier: Path) -> Path:
    """Where the artefact of somebody else's classifier lies by default: `x.ood.onnx` beside it."""
    return _beside(classifier, "ood.onnx")


def _make_private(path: Path) -> int:
    """Make an empty file for its owner alone; returns the mode that new files have here."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ANY_NEW_FILE)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
    _set_mode(path, _PRIVATE)
    return mode


def _set_mode(path: Path, mode: int) -> None:
    # Some file systems have no modes to set.
    with contextlib.suppress(OSError):
        path.chmod(mode)


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
