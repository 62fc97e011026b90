"""Files that fall into a folder, each once, when it is whole.

Changes come from the system (inotify and its like, through `watchfiles`), or from looking again and
again where it tells of none, as network file systems do. No system says of a file that nobody will
write to it any more, so a file is whole when it has not changed for a while: one that was renamed
into the folder is at once, since its content is older.
"""

import os
import threading
import time
from collections.abc import Container, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from edge_ood.errors import DataError, MissingDependencyError
from edge_ood.files.paths import shown_path
from edge_ood.files.temporary import is_unfinished
from edge_ood.files.walk import walk
from edge_ood.images.folders import IMAGE_SUFFIXES

__all__ = ["WatchedFolder"]

_LOOK_MS = 100


class WatchedFolder:
    """Image files below a folder: those that are there, then those that come.

    Hidden files and what bears no ending of an image are passed over, so that programs may write
    under another name and rename. A file that is written anew counts as another one.

    Args:
        folder: Exists.
        settle_s: How long a file must not have changed.
        polling: Look for changes instead of being told of them.
        known: Paths of files that were dealt with earlier.
        skip: Folders whose files are no input, even inside the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settle_s: float = 0.5,
        polling: bool = False,
        known: Container[str] = (),
        skip: tuple[Path, ...] = (),
    ) -> None:
        self.folder = folder
        self._settle_s, self._polling, self._known = settle_s, polling, known
        self._skip = tuple(Path(os.path.realpath(path)) for path in skip)
        self._waiting: dict[Path, tuple[tuple[int, int], float]] = {}
        self._done: dict[Path, tuple[int, int]] = {}

    def files(self, stop: threading.Event) -> Iterator[Path | None]:
        """Whole files, until the event is set; None where there is none for now.

        Raises:
            DataError: If the folder is gone.
            MissingDependencyError: If watchfiles is not installed.
        """
        changes = _changes(self.folder, stop, polling=self._polling)
        try:
            first: Any = next(changes, set())  # from now on nothing that comes is overlooked
            for path in walk(self.folder):
                if shown_path(path) not in self._known:
                    self._note(path)
            for changed in chain([first], changes):
                for _, name in changed:
                    self._note(self._below(name))
                yield from self._whole()
                yield None
                if not self.folder.is_dir():
                    raise DataError(f"'{self.folder}' is gone", hint="make it, and start again")
        except (FileNotFoundError, RuntimeError) as error:
            raise DataError(f"cannot watch '{self.folder}': {error}", hint="--poll") from error

    def _note(self, path: Path) -> None:
        """Take a file into account that is new, or was written to."""
        if path.name.startswith(".") or is_unfinished(path.name):
            return
        if path.suffix.lower() not in IMAGE_SUFFIXES or self._is_skipped(path):
            return
        state = _state(path)
        if state is None or self._done.get(path) == state:
            self._waiting.pop(path, None)
        elif path not in self._waiting or self._waiting[path][0] != state:
            # The clock of the file system may be another machine's: then a file waits longer.
            unchanged_s = max(0.0, time.time() - path.stat().st_mtime)
            self._waiting[path] = (state, time.monotonic() - min(unchanged_s, self._settle_s))

    def _whole(self) -> Iterator[Path]:
        for path in list(self._waiting):
            self._note(path)
        now = time.monotonic()
        due = [p for p, (_, since) in self._waiting.items() if now - since >= self._settle_s]
        for path in due:
            state, _ = self._waiting.pop(path)
            self._done[path] = state
            yield path

    def forget(self, path: Path) -> None:
        """A file that is gone may come again."""
        self._done.pop(path, None)

    def _below(self, name: str) -> Path:
        """A path as the walk gives it, of one as the system tells it."""
        told = Path(name)
        folder = Path(os.path.realpath(told.parent))
        return self.folder / folder.relative_to(os.path.realpath(self.folder)) / told.name

    def _is_skipped(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(folder) for folder in self._skip)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a regular file; None for anything else."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if path.is_file() and found.st_size else None


def _changes(folder: Path, stop: threading.Event, *, polling: bool) -> Iterator[Any]:
    try:
        import watchfiles  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("watching a folder", "watchfiles", "watch") from error
    return watchfiles.watch(
        folder,
        watch_filter=None,
        debounce=_LOOK_MS,
        step=_LOOK_MS // 2,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        force_polling=polling or None,
        raise_interrupt=True,
    )
