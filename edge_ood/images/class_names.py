"""Class names as several systems write them: when two are the same, and when they look it."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edge_ood.errors import DataError
from edge_ood.files.regular import read_regular
from edge_ood.files.text_file import text_lines

__all__ = [
    "check_distinct",
    "class_positions",
    "match_folders",
    "read_class_names",
    "same_form",
]

_FEWEST = 2
_LARGEST_LIST = 1 << 24


def same_form(name: str) -> str:
    """The name in the form that all spellings of its characters share (Unicode NFC).

    An accent may be part of its letter or a sign of its own, as folders from a Mac have it.
    """
    return unicodedata.normalize("NFC", name)


def class_positions(names: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """Indices into the classes, of those of the names that are the same but for Unicode form."""
    by_form = {same_form(name): i for i, name in enumerate(classes)}
    exact = {name: i for i, name in enumerate(classes)}
    found = {name: exact.get(name, by_form.get(same_form(name))) for name in names}
    return {name: position for name, position in found.items() if position is not None}


def match_folders(folders: Iterable[str], classes: Sequence[str], root: Path) -> Mapping[str, int]:
    """Indices into the classes, of the folders that bear their names.

    Args:
        folders: Names of folders in `root`.
        classes: K class names.
        root: Named in errors.

    Raises:
        DataError: If a folder's name differs from a class in case or blanks alone, or two folders
            bear the name of one class in two Unicode forms.
    """
    folders = sorted(folders)
    found = class_positions(folders, classes)
    alike = {_folded(name): name for name in classes}
    bearers: dict[int, str] = {}
    for folder in folders:
        if folder in found:
            other = bearers.setdefault(found[folder], folder)
            if other != folder:
                raise _look_the_same(f"'{root}' has the class folders", other, folder)
        elif _folded(folder) in alike:
            name = alike[_folded(folder)]
            raise _look_the_same(f"'{root}' has the folder and the classes have", folder, name)
    return found


def check_distinct(names: Iterable[str], root: Path) -> None:
    """Refuse class folders whose names differ in Unicode form, case or blanks at the ends alone.

    Raises:
        DataError: Naming the first two.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_folded(name), name)
        if other != name:
            raise _look_the_same(f"'{root}' has the class folders", other, name)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Names from a file with one a line, in the order of a network's outputs.

    Raises:
        DataError: If the file cannot be read, or has fewer than two names or one of them twice.
    """
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise DataError(
                f"'{path}' is too large for a list of class names", hint="check the path"
            )
        content = read_regular(path)
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", hint="check the path") from error
    stripped = [name.strip() for name in text_lines(content, f"'{path}'")]
    while stripped and not stripped[-1]:
        stripped.pop()
    counts = Counter(map(same_form, stripped))
    twice = next((name for name in stripped if counts[same_form(name)] > 1), None)
    if twice is not None or len(stripped) < _FEWEST or not all(stripped):
        found = f"{twice!r} twice" if twice else f"{len(stripped)} lines, empty ones included"
        raise DataError(
            f"'{path}' has {found}, expected two or more class names, all different",
            hint="one class name a line, in the order of the outputs",
        )
    return tuple(stripped)


def _folded(name: str) -> str:
    return same_form(same_form(name).casefold()).strip()


def _look_the_same(subject: str, first: str, second: str) -> DataError:
    # The same glyphs in two forms are told apart by their code points alone.
    shown = ascii if same_form(first) == same_form(second) else repr
    return DataError(
        f"{subject} {shown(first)} and {shown(second)}, which differ in Unicode form, case or "
        "blanks alone",
        hint="rename one of them, or put their images together",
    )
