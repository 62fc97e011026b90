"""Score tables whose place is an object store: made on this machine, then stored whole.

    unfinished    in a folder of the user's cache, by the URL's hash, as any unfinished table
    finished      put in place there, as on any file system
    stored        the table, then its record: a table in a store with a record beside it is finished

Killed in between, the same command with `--resume` goes on from the folder on this machine. Nothing
keeps two machines from writing to one URL: the last one's table stays.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge_ood.errors import InputError
from edge_ood.files.cache import cache_folder
from edge_ood.files.output import under_its_name
from edge_ood.sources import (
    Location,
    check_can_write,
    fetch,
    is_there,
    is_url,
    locations,
    place_in_store,
    remove_local,
    store,
)
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.run_record import RunRecord, read_record
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.unfinished_table import record_path
from edge_ood.tables.writer import TableWriter

__all__ = ["StoredOutput", "local_path", "local_tables", "score_output"]

_DIGITS = 16


def score_output(name: str, table_format: str) -> ScoreOutput:
    """A place for a score table: a path, or a URL.

    Raises:
        InputError: If the URL's scheme is unknown, or there is no home to make the table in.
        MissingDependencyError: If pyarrow is not installed, and the name is a URL.
    """
    path = local_path(name)
    return StoredOutput(name, table_format) if path is None else ScoreOutput(path, table_format)


def local_path(name: str) -> Path | None:
    """A path, or `file://` URL, as a path; None for what lies in a store."""
    if not is_url(name):
        return Path(name)
    parts = urlsplit(name)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


class StoredOutput(ScoreOutput):
    """As `ScoreOutput`, in an object store.

    Args:
        url: Of the table.
        table_format: A key of `tables.FORMATS`.
    """

    def __init__(self, url: str, table_format: str) -> None:
        place = place_in_store(url)
        super().__init__(_made_in(place), table_format)
        self._place, self._record_place = place, _record_of(place)

    @property
    def own_files(self) -> tuple[Path, ...]:
        """None that could be an input."""
        return ()

    def check(self, *, resume: bool, force: bool) -> None:
        """As for a file; and that the store takes files.

        Raises:
            DataError: If it does not.
            InputError: As for a file.
        """
        if not (resume or force) and is_there(self._place):
            raise InputError(
                f"'{self._place.shown}' exists", hint="choose another name, or pass --force"
            )
        check_can_write(self._place)
        with self._named():
            super().check(resume=resume, force=force)

    def finished_rows(self, record: RunRecord) -> Iterator[SavedRow] | None:
        """As for a file.

        Raises:
            ArtifactError, DataError, InputError: As for a file.
        """
        with self._named():
            if self._is_made:
                self._check_same(read_record(record_path(self.path)), record)
                self._store()  # what a kill left undone
            if not self._unfinished.exists and is_there(self._record_place):
                fetch(self._record_place, record_path(self.path))
                fetch(self._place, self.path)
            rows = super().finished_rows(record)
        return None if rows is None else self._read(rows)

    @contextlib.contextmanager
    def open(self, record: RunRecord, *, resume: bool, keep: bool = True) -> Iterator[TableWriter]:
        """As for a file.

        Raises:
            ArtifactError, DataError, InputError: As for a file.
        """
        with self._named():
            with super().open(record, resume=resume, keep=keep) as writer:
                yield writer
            self._store()

    @property
    def _is_made(self) -> bool:
        """Whether the whole table lies on this machine."""
        return not self._unfinished.exists and record_path(self.path).exists()

    def _store(self) -> None:
        store(self.path, self._place)
        store(record_path(self.path), self._record_place)
        self._let_go()

    def _read(self, rows: Iterator[SavedRow]) -> Iterator[SavedRow]:
        with self._named():
            yield from rows
        self._let_go()

    def _let_go(self) -> None:
        for made in (self.path, record_path(self.path)):
            remove_local(made)

    def _named(self) -> contextlib.AbstractContextManager[None]:
        return under_its_name(self.path, self._place.shown)


@contextlib.contextmanager
def local_tables(names: list[str]) -> Iterator[list[Path]]:
    """Finished tables as paths; those of stores, which may be patterns, are fetched for the block.

    Raises:
        DataError: If a store says no.
        InputError: If there is no home to fetch them to.
        MissingDependencyError: If pyarrow is not installed, and a name is a URL.
    """
    fetched: dict[Path, str] = {}
    try:
        paths = []
        for name in names:
            path = local_path(name)
            if path is not None:
                paths.append(path)
                continue
            for place in locations(name, folders=True):
                if place.shown.endswith(".run.json"):
                    continue
                copy = _made_in(place)
                fetched[copy] = place.shown
                if is_there(_record_of(place)):
                    fetch(_record_of(place), record_path(copy))
                    fetch(place, copy)
                paths.append(copy)
        with contextlib.ExitStack() as stack:
            for copy, shown in fetched.items():
                stack.enter_context(under_its_name(copy, shown))
            yield paths
    finally:
        for copy in fetched:
            remove_local(copy)
            remove_local(record_path(copy))


def _made_in(place: Location) -> Path:
    """Where on this machine a table of a store is made, or fetched to."""
    folder = cache_folder()
    if folder is None:
        raise InputError(f"no folder to make '{place.shown}' in", hint="set XDG_CACHE_HOME to one")
    digest = hashlib.sha256(place.shown.encode()).hexdigest()[:_DIGITS]
    try:
        (folder / "stores" / digest).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make '{place.shown}' in '{folder}': {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder with room for the table",
        ) from error
    return folder / "stores" / digest / place.path.rpartition("/")[2]


def _record_of(place: Location) -> Location:
    return Location(place.store, f"{place.path}.run.json", f"{place.shown}.run.json")
