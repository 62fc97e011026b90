"""A score table while it is made, so that a killed run can go on.

Until the last row is written, the rows of `scores.csv` lie in the folder `scores.csv.part`, under
the table's own name, beside `run.json`, which says what makes them. Then the table is renamed into
place, and the record is `scores.csv.run.json`: what bears the table's own name is finished.

`TableWriter` sees to it that rows reach the disk (fsync) every few seconds, and at the end, an
interrupt or an error. What a SIGKILL or a power cut takes is scored again.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.files.output import check_output, check_writable, discard, publish, temporary_name
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.parquet_table import is_part
from edge_ood.tables.run_record import Finished, RunRecord, read_record, write_record
from edge_ood.tables.writer import TableWriter, open_table

__all__ = ["ScoreOutput", "checked_rows", "record_path", "unfinished_path"]

_RECORD = "run.json"
_FINISHED = "finished.json"
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
        self._folder = unfinished_path(self._target)

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Files and folders that are written, and so are no input."""
        return self._target, self._folder, record_path(self._target)

    def check(self, *, resume: bool, force: bool) -> None:
        """Refuse what must not or cannot be written, before any long work.

        Raises:
            InputError: Where a table exists and neither `resume` nor `force` is set; where what is
                there is none of ours, or another process is writing it; where nothing can be
                written.
        """
        if resume and force:
            raise InputError("--resume continues a run and --force replaces it", hint="choose one")
        check_writable(self.path)
        try:
            self._check_names()
            self._check_unfinished(allowed=resume or force)
            self._check_finished(allowed=resume or force)
        except OSError as error:
            raise InputError(
                f"cannot write '{self.path}': {error.strerror}", hint="choose another name"
            ) from error
        if self._folder.exists():
            with self._locked():
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
        if self._folder.exists() or not self._target.exists():
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
        is_new = not (resume and self._folder.exists())
        if is_new:
            self._discard()
            self._make(record)
        with self._locked():
            self._check_same(read_record(self._folder / _RECORD), record)
            table = open_table(self._folder / self._target.name, record)
            writer = TableWriter(self.path, table, record, keep=keep)
            try:
                yield writer
                self._publish(record, writer.finished, keep=keep)
            except BaseException:
                # The disk may be full, and still have room for less.
                for stop in (table.save, table.close):
                    with contextlib.suppress(OSError):
                        stop()
                is_worth_keeping = not is_new or (keep and table.saved_rows)
                if self._folder.exists() and not is_worth_keeping:
                    discard(self._folder)
                raise

    def _check_names(self) -> None:
        """Longer names than the table's own are needed; the file system knows its limit."""
        for path in self.own_files:
            with contextlib.suppress(FileNotFoundError):
                path.lstat()

    def _check_unfinished(self, *, allowed: bool) -> None:
        if not os.path.lexists(self._folder):
            return
        if not (self._folder / _RECORD).is_file():
            raise InputError(
                f"'{self._folder}' is no unfinished table, but would be one of '{self.path}'",
                hint="move it away, or choose another name",
            )
        if not (self._folder / self._target.name).exists():
            with self._locked():
                self._put_in_place()  # killed amid the same
        elif not allowed:
            raise InputError(
                f"'{self.path}' was begun and is not finished",
                hint="--resume goes on, --force starts again",
            )

    def _check_finished(self, *, allowed: bool) -> None:
        if self._format != "parquet" or not self._target.is_dir():
            check_output(self.path, force=allowed)
            return
        foreign = sorted(path.name for path in self._target.iterdir() if not is_part(path.name))
        if foreign:
            raise InputError(
                f"'{self.path}' is no Parquet table: it holds {foreign[0]!r}",
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

    def _make(self, record: RunRecord) -> None:
        """The folder appears with all that belongs into it."""
        made = temporary_name(self._target)
        try:
            made.mkdir(parents=True)
            open_table(made / self._target.name, record).make()
            write_record(made / _RECORD, record)
            made.replace(self._folder)
        except OSError as error:
            raise DataError(
                f"cannot write '{self.path}': {error.strerror or error}",
                hint="free some space or choose another folder; nothing was left behind",
            ) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _publish(self, record: RunRecord, finished: Finished | None, *, keep: bool) -> None:
        assert finished is not None
        try:
            write_record(self._folder / _FINISHED, replace(record, finished=finished))
            self._put_in_place()
        except OSError as error:
            safe = "all rows are safe, and --resume puts them in place"
            raise DataError(
                f"cannot write '{self.path}': {error.strerror or error}",
                hint=safe if keep else "free some space or choose another folder",
            ) from error

    def _put_in_place(self) -> None:
        """After a kill between two of these steps, the next run takes the others."""
        table, finished = self._folder / self._target.name, self._folder / _FINISHED
        if table.exists():
            publish(table, self._target)
        if finished.exists():
            finished.replace(record_path(self._target))
        discard(self._folder)

    def _discard(self) -> None:
        if self._folder.exists():
            with self._locked():
                discard(self._folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out; the kernel ends it with this process, however that ends."""
        # For writing, because network file systems lock no other files.
        with (self._folder / _RECORD).open("r+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"another process is writing '{self.path}'", hint="wait for it, or stop it"
                ) from error
            except OSError:
                pass  # a network file system without locks
            yield


def record_path(table: Path) -> Path:
    """Where the record of a finished table lies; links are followed."""
    target = Path(os.path.realpath(table))
    return target.with_name(f"{target.name}.{_RECORD}")


def unfinished_path(table: Path) -> Path:
    """Where a table lies while it is made; links are followed."""
    target = Path(os.path.realpath(table))
    return target.with_name(f"{target.name}.part")


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
