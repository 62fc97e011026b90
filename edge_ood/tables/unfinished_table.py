"""Where a score table lies while it is made, and how it gets from there into its place.

Until the last row is written, the rows of `scores.csv` lie in the folder `scores.csv.part`, under
the table's own name, beside `run.json`, which says what makes them. Then the table is renamed into
place, and the record is `scores.csv.run.json`.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.files.locks import exclusive
from edge_ood.files.output import discard, publish
from edge_ood.files.temporary import temporary_folder
from edge_ood.tables.run_record import Finished, RunRecord, read_record, write_record
from edge_ood.tables.writer import open_table

__all__ = ["UnfinishedTable", "record_path", "unfinished_path"]

_RECORD = "run.json"
_FINISHED = "finished.json"


class UnfinishedTable:
    """The folder of a table in the making, which may not be there.

    Args:
        shown: The table, as messages call it; a link is followed.
    """

    def __init__(self, shown: Path) -> None:
        self.shown = shown
        self.target = Path(os.path.realpath(shown))
        self.folder = unfinished_path(self.target)

    @property
    def exists(self) -> bool:
        """Whether a table was begun and not finished."""
        return self.folder.exists()

    @property
    def table(self) -> Path:
        """Where its rows are."""
        return self.folder / self.target.name

    def record(self) -> RunRecord:
        """What makes its rows.

        Raises:
            ArtifactError: If the record is damaged.
        """
        return read_record(self.folder / _RECORD)

    def check(self, *, allowed: bool) -> None:
        """Refuse what lies there, if anything does.

        Raises:
            InputError: If it was not written by edge-ood, another process has it, or going on with
                it or replacing it is not `allowed`.
        """
        if not os.path.lexists(self.folder):
            return
        if not (self.folder / _RECORD).is_file():
            raise InputError(
                f"'{self.folder}' is no unfinished table, but would be one of '{self.shown}'",
                hint="move it away, or choose another name",
            )
        if not self.table.exists():
            with self.locked():
                self._put_in_place()  # killed amid the same
        elif not allowed:
            raise InputError(
                f"'{self.shown}' was begun and is not finished",
                hint="--resume goes on, --force starts again",
            )

    def begin(self, record: RunRecord) -> None:
        """Begin anew, in place of what was there; the folder appears with all that belongs into it.

        Raises:
            DataError: If nothing can be written.
            InputError: If another process is writing it.
        """
        if self.exists:
            with self.locked():
                discard(self.folder)
        try:
            # Private if the table is: its rows must not be open to all meanwhile.
            with temporary_folder(self.target, private=self.target.exists()) as made:
                open_table(made / self.target.name, record).make()
                write_record(made / _RECORD, record)
                made.replace(self.folder)
        except OSError as error:
            raise DataError(
                f"cannot write '{self.shown}': {error.strerror or error}",
                hint="free some space or choose another folder; nothing was left behind",
            ) from error

    def finish(self, record: RunRecord, finished: Finished, *, keep: bool) -> None:
        """Put the table and its record into their places.

        Raises:
            DataError: If the disk is full; `keep` says whether rows stay for `--resume`.
        """
        try:
            write_record(self.folder / _FINISHED, replace(record, finished=finished))
            self._put_in_place()
        except OSError as error:
            safe = "all rows are safe, and --resume puts them in place"
            raise DataError(
                f"cannot write '{self.shown}': {error.strerror or error}",
                hint=safe if keep else "free some space or choose another folder",
            ) from error

    def _put_in_place(self) -> None:
        """After a kill between two of these steps, the next run takes the others."""
        table, finished = self.table, self.folder / _FINISHED
        if table.exists():
            publish(table, self.target)
        if finished.exists():
            publish(finished, record_path(self.target))
        discard(self.folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the kernel ends it with this process, however that ends."""
        with (self.folder / _RECORD).open("r+b") as stream, exclusive(stream, self.shown):
            yield


def record_path(table: Path) -> Path:
    """Where the record of a finished table lies; links are followed."""
    target = Path(os.path.realpath(table))
    return target.with_name(f"{target.name}.{_RECORD}")


def unfinished_path(table: Path) -> Path:
    """Where a table lies while it is made; links are followed."""
    target = Path(os.path.realpath(table))
    return target.with_name(f"{target.name}.part")
