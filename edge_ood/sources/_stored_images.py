"""All images that several URLs and archives name, listed anew each time."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_ood.errors import DataError, InputError, MissingDependencyError
from edge_ood.files.paths import is_folder
from edge_ood.files.regular import read_regular
from edge_ood.files.stored import StoredImage
from edge_ood.files.walk import walk
from edge_ood.sources._archive import unreadable
from edge_ood.sources._locations import Location, archive_for, is_stored, locations, store_errors

__all__ = ["StoredImages"]


class StoredImages:
    """Images in a stable order: sources as given, what is below a folder by name.

    A folder of a store is listed one level at a time, so that memory grows with the largest level;
    an archive is streamed.

    Args:
        names: URLs, and patterns of archives; see `edge_ood.sources`.

    Attributes:
        are_archives: Whether all sources are archives; else all are objects.

    Raises:
        DataError: If there is no image at all, or a store says no.
        InputError: If some are files or folders of this machine, archives and single objects are
            mixed, or an archive is there twice.
    """

    def __init__(self, names: Sequence[str]) -> None:
        plain = [name for name in names if not is_stored(name)]
        if plain:
            other = next(name for name in names if name not in plain)
            raise InputError(
                f"'{plain[0]}' is a file or folder, and '{other}' is not",
                hint="score them apart; file:///PATH names a folder as stores do",
            )
        kinds = {archive_for(name) is not None for name in names}
        if len(kinds) > 1:
            raise InputError("archives and single objects at once", hint="score them apart")
        self.are_archives = kinds == {True}
        self._names = tuple(names)
        if self.are_archives:
            _check_once(self.archives())
        elif next(iter(self), None) is None:
            raise DataError(f"no images in '{names[0]}'", hint="check the URL")

    def __iter__(self) -> Iterator[StoredImage]:
        for location in self._locations():
            yield from _images(location)

    def archives(self) -> list[str]:
        """Names of the archives, in order."""
        return [location.shown for location in self._locations()]

    def of_archives(self, first: int, step: int) -> Iterator[StoredImage]:
        """Images of every `step`-th archive from one on; the others are not opened."""
        for index, location in enumerate(self._locations()):
            if index % step == first:
                yield from _images(location)

    def _locations(self) -> Iterator[Location]:
        for name in self._names:
            yield from locations(name)


def _check_once(archives: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in archives:
        if name in seen:
            raise InputError(f"'{name}' is there twice", hint="name each archive once")
        seen.add(name)


def _images(location: Location) -> Iterator[StoredImage]:
    archive = archive_for(location.path)
    if archive is None:
        yield from _objects(location)
        return
    try:
        with store_errors(location.shown), location.opened(seeks=archive.seeks) as file:
            yield from archive.images(file, location.shown)
    except MissingDependencyError:
        raise
    except DataError as error:
        yield unreadable(location.shown, location.shown, error)


def _objects(location: Location) -> Iterator[StoredImage]:
    """The object, or all objects below the folder."""
    if location.store is None:
        yield from _local(location)
        return
    from pyarrow import fs  # noqa: PLC0415  # it is installed: there is a store

    with store_errors(location.shown):
        info = location.store.get_file_info(location.path)
    if info.type == fs.FileType.File:
        yield _object(location, info.size)
        return
    if info.type == fs.FileType.NotFound:
        raise DataError(f"there is nothing at '{location.shown}'", hint="check the URL")
    pending = [location.path]
    while pending:
        folder = pending.pop()
        with store_errors(location.at(folder).shown):
            found = location.store.get_file_info(fs.FileSelector(folder))
        found.sort(key=_base_name)
        for each in found:
            if each.type == fs.FileType.File:
                yield _object(location.at(each.path), each.size)
        inner = [each.path for each in found if each.type == fs.FileType.Directory]
        pending += reversed(inner)


def _base_name(info: Any) -> str:
    return str(info.base_name)


def _object(location: Location, size: int) -> StoredImage:
    return StoredImage(location.shown, size, partial(_payload, location))


def _payload(location: Location) -> bytes:
    with location.opened(seeks=False) as file:
        return file.read()


def _local(location: Location) -> Iterator[StoredImage]:
    root = Path(location.path)
    for path in walk(root) if is_folder(root) else [root]:
        shown = location.at(str(path)).shown
        yield StoredImage(shown, 0, partial(read_regular, path))
