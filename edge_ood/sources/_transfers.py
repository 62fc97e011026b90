"""Files, and folders of files, between this machine and a store."""

import shutil
from pathlib import Path

from edge_ood.sources._locations import Location, store_errors

__all__ = [
    "check_can_write",
    "fetch",
    "file_names",
    "is_there",
    "remove",
    "remove_local",
    "store",
]


def is_there(place: Location) -> bool:
    """Whether there is a file, or a folder, of this name.

    Raises:
        DataError: If the store does not say.
    """
    from pyarrow import fs  # noqa: PLC0415  # it is installed: there is a store

    with store_errors(place.shown):
        found = place.store.get_file_info(place.path)
    return bool(found.type != fs.FileType.NotFound)


def file_names(folder: Location) -> list[str]:
    """Names of what is right in a folder, sorted; empty if there is none.

    Raises:
        DataError: If the store does not say.
    """
    from pyarrow import fs  # noqa: PLC0415  # it is installed: there is a store

    with store_errors(folder.shown):
        found = folder.store.get_file_info(fs.FileSelector(folder.path, allow_not_found=True))
    return sorted(each.base_name for each in found)


def fetch(place: Location, copy: Path) -> None:
    """Copy a file, or a folder of files, to this machine, in the place of what is there.

    Raises:
        DataError: If the store says no, or this disk does.
    """
    remove_local(copy)
    names = file_names(place)
    with store_errors(place.shown):
        if not names:
            _fetch_file(place, copy)
            return
        copy.mkdir(parents=True)
        for name in names:
            _fetch_file(place.at(f"{place.path}/{name}"), copy / name)


def store(made: Path, place: Location) -> None:
    """Copy a file, or a folder of files, into a store, in the place of what is there.

    An object appears when all of it is there. A folder has its files one by one: what is to be seen
    as a whole needs a last file that says so.

    Raises:
        DataError: If the store says no.
    """
    remove(place)
    with store_errors(place.shown, verb="write"):
        if not made.is_dir():
            _store_file(made, place)
            return
        for file in sorted(made.iterdir()):
            _store_file(file, place.at(f"{place.path}/{file.name}"))


def remove(place: Location) -> None:
    """Remove a file, or a folder of files, if it is there.

    Raises:
        DataError: If the store says no.
    """
    names = file_names(place)
    with store_errors(place.shown, verb="remove"):
        if names:
            for name in names:
                place.store.delete_file(f"{place.path}/{name}")
            place.store.delete_dir(place.path)
        elif is_there(place):
            place.store.delete_file(place.path)


def check_can_write(place: Location) -> None:
    """See that a file can be written beside a place, before any long work.

    Raises:
        DataError: If the store says no.
    """
    trial = Location(place.store, f"{place.path}.trial", place.shown)
    with store_errors(place.shown, verb="write"), trial.store.open_output_stream(trial.path):
        pass
    remove(trial)


def remove_local(copy: Path) -> None:
    """Remove a file or folder of this machine, if it is there."""
    if copy.is_dir():
        shutil.rmtree(copy)
    else:
        copy.unlink(missing_ok=True)


def _fetch_file(place: Location, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    with place.opened(seeks=False) as source, copy.open("wb") as file:
        shutil.copyfileobj(source, file)


def _store_file(made: Path, place: Location) -> None:
    with made.open("rb") as file, place.store.open_output_stream(place.path) as target:
        shutil.copyfileobj(file, target)
