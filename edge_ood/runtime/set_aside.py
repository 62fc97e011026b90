"""Copies of flagged files in a folder of their own, or the files themselves: never over another.

Killed at any instant, a file is where it was, or where it goes, or at both places with the same
content; the same call again leaves it at one.
"""

import contextlib
import errno
import filecmp
import os
import shutil
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.files.regular import read_regular
from edge_ood.files.temporary import temporary_folder

__all__ = ["set_aside"]

_MOST_NAMES = 10_000
_WITHOUT_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def set_aside(path: Path, root: Path, folder: Path, *, move: bool) -> Path | None:
    """Put a file into a folder under the name that it has below its root.

    Args:
        path: A regular file.
        root: What its name is relative to.
        folder: Where to; made if it is not there.
        move: Whether the file leaves its place.

    Returns:
        Where it is now; None if the file is gone.

    Raises:
        DataError: If it cannot be read, written or removed.
    """
    inner = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    try:
        target = _placed(path, folder / inner)
        if target is not None and move:
            path.unlink(missing_ok=True)
        return target
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"cannot put '{path}' into '{folder}': {error.strerror or error}",
            hint="free some space or choose another folder; the file is where it was",
        ) from error


def _placed(path: Path, wanted: Path) -> Path:
    """The first name that is free, or that has the same content already."""
    with temporary_folder(wanted, private=True) as scratch:
        made = scratch / wanted.name
        shutil.copy2(path, made)
        for number in range(1, _MOST_NAMES):
            counted = wanted if number == 1 else wanted.with_stem(f"{wanted.stem} ({number})")
            with contextlib.suppress(FileNotFoundError):
                if filecmp.cmp(made, counted, shallow=False):
                    return counted
            try:
                _put(made, counted)
            except FileExistsError:
                continue
            return counted
    raise OSError(errno.EEXIST, "too many files of this name")


def _put(made: Path, target: Path) -> None:
    """Give a file another name, which nothing has; a rename would replace what has it."""
    try:
        os.link(made, target)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        with target.open("xb") as new:  # memory cards have no links
            new.write(read_regular(made))
