"""The files that a command is to work through: named, listed, or below a folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.output import is_unfinished

__all__ = ["InputFiles", "read_list"]


class InputFiles:
    """Files in a stable order, walked anew each time, so that a large folder needs no memory.

    A folder stands for every file below it, whatever it holds: its own files by name, then its
    folders by name. A folder that cannot be read stands for itself.

    Args:
        roots: Files and folders; a file need not exist.
        skip: A file that is written meanwhile and so is no input, even if it lies in a folder.

    Raises:
        DataError: If there is no file at all.
    """

    def __init__(self, roots: Sequence[Path], *, skip: Path | None = None) -> None:
        self._roots = tuple(roots)
        self._skip = os.path.realpath(skip) if skip else None
        if next(iter(self), None) is None:
            below = f"below '{self._roots[0]}'" if self._roots else "in the list"
            raise DataError(f"no files {below}", hint="check the path")

    def __iter__(self) -> Iterator[Path]:
        for root in self._roots:
            yield from self._below(root) if root.is_dir() else [root]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _below(self, root: Path) -> Iterator[Path]:
        pending = [root]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    kinds = {e.name: e.is_dir(follow_symlinks=False) for e in entries}
            except OSError:
                yield folder
                continue
            paths = {folder / name: is_folder for name, is_folder in sorted(kinds.items())}
            pending += reversed([path for path, is_folder in paths.items() if is_folder])
            for path, is_folder in paths.items():
                if not is_folder and not self._is_output(path):
                    yield path

    def _is_output(self, path: Path) -> bool:
        if is_unfinished(path.name):
            return True
        named_alike = self._skip is not None and self._skip.endswith(path.name)
        return named_alike and os.path.realpath(path) == self._skip


def read_list(content: bytes) -> list[Path]:
    """Paths from a list of names, one a line; or each ended by a NUL, as `find -print0` does."""
    separator = b"\0" if b"\0" in content else b"\n"
    return [Path(os.fsdecode(name)) for name in content.split(separator) if name]
