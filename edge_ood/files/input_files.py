"""The files that a command is to work through: named, listed, or below a folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.files.paths import is_folder
from edge_ood.files.temporary import is_unfinished
from edge_ood.files.text_file import ends_names_with_nul, text_lines
from edge_ood.files.walk import walk

__all__ = ["InputFiles", "read_list"]


class InputFiles:
    """Files in a stable order, walked anew each time, so that a large folder needs no memory.

    A folder stands for every file below it, whatever it is; see `edge_ood.files.walk`.

    Args:
        roots: Files and folders; a file need not exist.
        skip: Files and folders that are written meanwhile and so are no input, even if they lie
            in a folder.

    Raises:
        DataError: If there is no file at all.
    """

    def __init__(self, roots: Sequence[Path], *, skip: Sequence[Path] = ()) -> None:
        self._roots = tuple(roots)
        self._skip = {os.path.realpath(path) for path in skip}
        self._skipped_names = {Path(path).name for path in self._skip}
        if next(iter(self), None) is None:
            below = f"below '{self._roots[0]}'" if self._roots else "in the list"
            raise DataError(f"no files {below}", hint="check the path")

    def __iter__(self) -> Iterator[Path]:
        for root in self._roots:
            yield from walk(root, leave_out=self._is_output) if is_folder(root) else [root]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_output(self, path: Path) -> bool:
        if is_unfinished(path.name):
            return True
        return path.name in self._skipped_names and os.path.realpath(path) in self._skip


def read_list(content: bytes) -> list[Path]:
    """Paths from a list of names, one a line; or each ended by a NUL, as `find -print0` does.

    Raises:
        DataError: If it seems to be UTF-16 or UTF-32, and is not.
    """
    if ends_names_with_nul(content):
        names = content.split(b"\0")
    else:
        lines = text_lines(content, "the list on standard input", stray_bytes=True)
        names = [line.encode("utf-8", "surrogateescape") for line in lines]
    return [Path(os.fsdecode(name)) for name in names if name]
