"""Adding rows to a score table that may be interrupted at any time and go on later."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from edge_ood.artifact.outputs import Row
from edge_ood.errors import DataError, InputError
from edge_ood.files.paths import shown_path
from edge_ood.files.stored import AnyImage, image_batches
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.parquet_table import ParquetTable
from edge_ood.tables.run_record import Finished, RunRecord
from edge_ood.tables.text_table import TextTable

__all__ = ["SAVE_EVERY_S", "TableWriter", "open_table"]

SAVE_EVERY_S = 2.0
"""Seconds between two times that rows are written out to the disk."""


Table = TextTable | ParquetTable


class TableWriter:
    """Adds rows to an unfinished table and saves them every few seconds.

    Args:
        path: What messages call the table.
        table: The unfinished table.
        record: What makes its rows.
        keep: Whether an error leaves the rows for another run to go on with.

    Attributes:
        has_same_files: Whether the rows found are those of the files that are there now.
        finished: What goes on record, once `finish` was called.
    """

    def __init__(self, path: Path, table: Table, record: RunRecord, *, keep: bool = True) -> None:
        self.has_same_files = True
        self.finished: Finished | None = None
        self._path = path
        self._table = table
        self._record = record
        self._keep = keep
        self._next_save = time.monotonic() + SAVE_EVERY_S

    @property
    def saved_rows(self) -> int:
        """Rows that need not be scored again, whatever happens."""
        return self._table.saved_rows

    def rest(
        self, files: Iterable[AnyImage], on_saved: Callable[[SavedRow], object] = lambda _: None
    ) -> Iterator[AnyImage]:
        """Go on behind the rows that are there: the files that have none yet.

        Rows are kept by whole batches, because the last bits of a score may depend on what else
        is in the batch. Where files came or went since, each row stays, and the files without one
        follow in their order: the order of the table is then not that of the files.

        Args:
            files: All files of the run, walked anew each time.
            on_saved: Called with each row that is kept.

        Raises:
            DataError: If the table cannot be written.
            InputError: If files came or went and this is a shard: others count on its place.
        """
        rows, batches = self._table.saved(), image_batches(files, self._record.batch_size)
        kept, following = self._kept(rows, batches, on_saved)
        if not self.has_same_files and self._record.shard.count > 1:
            raise InputError(
                f"cannot resume '{self._path}': the files are not those that it began with",
                hint="restore them; a list of names on standard input cannot change under a run",
            )
        with self._writing():
            self._table.cut(kept)
        if not self.has_same_files:
            return self._unsaved(files, kept)
        return chain(following, chain.from_iterable(batches))

    def _kept(
        self,
        rows: Iterator[SavedRow],
        batches: Iterable[list[AnyImage]],
        on_saved: Callable[[SavedRow], object],
    ) -> tuple[int, list[AnyImage]]:
        """How many rows stay, and the files of the batch after them, which was begun."""
        kept = 0
        for batch in batches:
            saved = list(islice(rows, len(batch)))
            if len(saved) < len(batch):
                return kept, batch
            for path, row in zip(batch, saved, strict=True):
                self.has_same_files &= shown_path(path) == row.path
                on_saved(row)
            kept += len(saved)
        gone: list[SavedRow] = []  # rows of files that are there no more
        for row in rows:
            gone.append(row)
            if (kept + len(gone)) % self._record.batch_size == 0:
                self.has_same_files = False
                kept += len(gone)
                for each in gone:
                    on_saved(each)
                gone.clear()
        return kept, []

    def write(self, row: Row) -> None:
        """Add a row.

        Raises:
            DataError: If the disk is full.
        """
        with self._writing():
            self._table.write(row)
            if time.monotonic() >= self._next_save:
                self._table.save()
                self._next_save = time.monotonic() + SAVE_EVERY_S

    def append(self, block: Any) -> None:
        """Add rows of another table's `blocks`.

        Raises:
            DataError: If the disk is full.
        """
        with self._writing():
            self._table.append(block)

    def finish(self, files: int, files_hash: str) -> None:
        """The last row is written; for the arguments see `Finished`.

        Raises:
            DataError: If the disk is full.
        """
        with self._writing():
            self._table.save()
            self._table.close()
        self.finished = Finished(self._table.saved_rows, files, files_hash)

    def _unsaved(self, files: Iterable[AnyImage], kept: int) -> Iterator[AnyImage]:
        """The only case in which memory grows with the table, by the paths of its rows."""
        counts = Counter(row.path for row in islice(self._table.saved(), kept))
        for path in files:
            shown = shown_path(path)
            if counts[shown]:
                counts[shown] -= 1
            else:
                yield path

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "free some space or choose another folder"
            if self._keep and self.saved_rows:
                hint = f"free some space; {self.saved_rows} rows are safe, and --resume goes on"
            raise DataError(
                f"cannot write '{self._path}': {error.strerror or error}", hint=hint
            ) from error


def open_table(path: Path, record: RunRecord) -> Table:
    """The table, finished or not, that a run of this record makes.

    Raises:
        MissingDependencyError: If Parquet needs a library that is not installed.
    """
    if record.table == "parquet":
        return ParquetTable(path, record.scores)
    return TextTable(path, record.table, record.scores)
