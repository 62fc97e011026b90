"""A score table while it is made, so that a killed run can go on.

Until the last row is written, the rows lie in a folder of their own, see `unfinished_table`; what
bears the table's own name is finished.

`TableWriter` sees to it that rows reach the disk (fsync) every few seconds, and at the end, an
interrupt or an error. What a SIGKILL or a power cut takes is scored again.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.files.output import check_output, check_writable, discard
from edge_ood.files.temporary import remove_leftovers
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.parquet_table import is_part
from edge_ood.tables.run_record import RunRecord, read_record
from edge_ood.tables.unfinished_table import UnfinishedTable, record_path
from edge_ood.tables.writer import TableWriter, open_table

__all__ = ["ScoreOutput", "checked_rows"]

_OTHER_OPTIONS = "give the options it was started with, or start again with --force"


class ScoreOutput:
    """A place for a score table, and what is there from an earlier run.

    Args:
        path: The table, a file or a folder of Parquet parts; a link is followed.
        table_format: A key of `tables.FORMATS`.
    """

    def __init__(self, path: Path, table_format: str) -> None:
        self.path = path
        self._format = table_format
        self._target = Path(os.path.realpath(path))
        self._unfinished = UnfinishedTable(path)

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Files and folders that are written, and so are no input."""
        return self._target, self._unfinished.folder, record_path(self._target)

    def check(self, *, resume: bool, force: bool) -> None:
        """Refuse what must not or cannot be written, before any long work.

        Raises:
            InputError: Where a table exists and neither `resume` nor `force` is set; where what is
                there was not written by edge-ood, or another process is writing it; where nothing
                can be written.
        """
        if resume and force:
            raise InputError("--resume continues a run and --force replaces it", hint="choose one")
        check_writable(self.path)
        try:
            self._check_names()
            self._unfinished.check(allowed=resume or force)
            self._check_finished(allowed=resume or force)
        except OSError as error:
            raise InputError(
                f"cannot write '{self.path}': {error.strerror}", hint="choose another name"
            ) from error
        if self._unfinished.exists:
            with self._unfinished.locked():
                pass
        elif resume and self._target.exists():
            self._check_has_record()

    def finished_rows(self, record: RunRecord) -> Iterator[SavedRow] | None:
        """The rows of the table if it is finished; None if there is something left to score.

        Raises:
            ArtifactError: If the table's own record is damaged.
            DataError: If the table is, at its first row that is missing.
            InputError: If other options made it.
        """
        if self._unfinished.exists or not self._target.exists():
            return None
        made = read_record(record_path(self._target))
        self._check_same(made, record)
        return checked_rows(self._target, made)

    @contextlib.contextmanager
    def open(self, record: RunRecord, *, resume: bool, keep: bool = True) -> Iterator[TableWriter]:
        """Begin the table or go on with it, and put it in place when the block ends.

        Args:
            record: What makes the rows.
            resume: Go on with an unfinished table, if there is one, rather than start again.
            keep: Leave rows for `resume` when the block ends with an error.

        Raises:
            ArtifactError: If the unfinished table's record is damaged.
            DataError: If the disk is full.
            InputError: If other options made the unfinished table, or another process has it.
        """
        unfinished = self._unfinished
        is_new = not (resume and unfinished.exists)
        if is_new:
            unfinished.begin(record)
        else:
            remove_leftovers(unfinished.folder)
        with unfinished.locked():
            self._check_same(unfinished.record(), record)
            table = open_table(unfinished.table, record)
            writer = TableWriter(self.path, table, record, keep=keep)
            try:
                yield writer
                assert writer.finished is not None  # whoever writes says so at the end
                unfinished.finish(record, writer.finished, keep=keep)
            except BaseException:
                # The disk may be full, and still have room for less.
                for stop in (table.save, table.close):
                    with contextlib.suppress(OSError):
                        stop()
                is_worth_keeping = not is_new or (keep and table.saved_rows)
                if unfinished.exists and not is_worth_keeping:
                    discard(unfinished.folder)
                raise

    def _check_names(self) -> None:
        """Longer names than the table's own are needed; the file system knows its limit."""
        for path in self.own_files:
            with contextlib.suppress(FileNotFoundError):
                path.lstat()

    def _check_finished(self, *, allowed: bool) -> None:
        if self._format != "parquet" or not self._target.is_dir():
            check_output(self.path, force=allowed)
            return
        others = sorted(path.name for path in self._target.iterdir() if not is_part(path.name))
        if others:
            raise InputError(
                f"'{self.path}' is no Parquet table: it holds {others[0]!r}",
                hint="choose another name",
            )
        if not allowed:
            raise InputError(f"'{self.path}' exists", hint="choose another name, or pass --force")

    def _check_has_record(self) -> None:
        if not record_path(self._target).exists():
            raise InputError(
                f"'{self.path}' exists, and nothing says what made it",
                hint="choose another name, or start again with --force",
            )

    def _check_same(self, made: RunRecord, record: RunRecord) -> None:
        made.check_same(record, subject=f"cannot resume '{self.path}'", hint=_OTHER_OPTIONS)


def checked_rows(path: Path, record: RunRecord) -> Iterator[SavedRow]:
    """The rows of a finished table.

    Raises:
        DataError: If the file cannot be read, or at the end, if there are not as many as were
            written.
    """
    expected = record.finished.rows if record.finished else 0
    count = 0
    try:
        for row in open_table(path, record).saved():
            count += 1
            yield row
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", hint="check the file") from error
    if count != expected:
        raise DataError(
            f"'{path}' is damaged: {count} whole rows, {expected} were written",
            hint="score again with --force",
        )
