"""Walking folders, by the same rules for every command that takes one.

- A folder's own files come first, by name, then what its folders hold, by name, to any depth.
- Links are followed, those to folders too. A link to a folder that it lies in would never end: it
  is not entered and stands for itself.
- A folder that cannot be entered stands for itself, so that nobody takes its files for scored.

`edge-ood score` takes every file, hidden or not, whatever its name (`edge_ood.files.input_files`):
each becomes a row. What wants images, such as training, calibration, evaluation and `Scorer`, takes
the files with the ending of an image, leaves out what is hidden by a leading dot, and refuses a
folder that cannot be entered (`edge_ood.images.folders.find_images`).
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edge_ood.threads import batched

__all__ = ["walk"]

_NAMES_PER_RUN = 5000
_SEPARATOR = "/"  # what no name can hold


def walk(
    root: Path,
    *,
    leave_out: Callable[[Path], bool] = lambda _: False,
    on_closed: Callable[[Path, OSError], None] = lambda *_: None,
) -> Iterator[Path]:
    """All files below a folder, in a stable order.

    Args:
        root: The folder.
        leave_out: Says of a file or folder whether to pass it over.
        on_closed: Called with each folder that cannot be entered, before it is yielded.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            files, folders = _listing(folder)
        except OSError as error:
            on_closed(folder, error)
            yield folder
            continue
        inner = (folder / name for name in reversed(folders))
        pending += [path for path in inner if not leave_out(path)]
        # Names until they are asked for: a folder may hold millions.
        yield from (path for path in (folder / name for name in files) if not leave_out(path))


def _listing(folder: Path) -> tuple[Iterator[str], list[str]]:
    """Names of a folder's files and of its folders, each sorted."""
    folders: list[str] = []

    def files(entries: Iterable["os.DirEntry[str]"]) -> Iterator[str]:
        for entry in entries:
            if _is_entered(entry):
                folders.append(entry.name)
            else:
                yield entry.name

    with os.scandir(folder) as entries:
        names = _sorted_names(files(entries))
    return names, sorted(folders)


def _sorted_names(names: Iterator[str]) -> Iterator[str]:
    """Sorted, in a third of the memory of a list: as long texts of sorted names, merged."""
    runs = [_SEPARATOR.join(sorted(run)) for run in batched(names, _NAMES_PER_RUN)]
    return heapq.merge(*map(_split, runs))


def _split(run: str) -> Iterator[str]:
    """The names of a run, one by one."""
    start = 0
    while (end := run.find(_SEPARATOR, start)) >= 0:
        yield run[start:end]
        start = end + 1
    yield run[start:]


def _is_entered(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir() and not (entry.is_symlink() and _is_loop(Path(entry.path)))
    except OSError:
        return False


def _is_loop(link: Path) -> bool:
    """Whether a link leads to a folder that it lies in, by its name or in truth."""
    target = link.stat()
    above = {*link.absolute().parents, *Path(os.path.realpath(link.parent), "any").parents}
    return any(os.path.samestat(folder.stat(), target) for folder in above)
