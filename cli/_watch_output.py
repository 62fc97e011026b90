"""Where the rows of `edge-ood watch` go: a table that later runs go on with, or a pipe."""

import contextlib
import fcntl
import json
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.cli._streams import expect_standard_output
from edge_ood.errors import InputError
from edge_ood.files.text import valid_text

if TYPE_CHECKING:
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.runtime.watch import Watched
    from edge_ood.tables.formats import SavedRow
    from edge_ood.tables.run_record import RunRecord

__all__ = ["WatchOutput"]

_SAVE_S = 2.0


class WatchOutput:
    """Rows, and what earlier runs have written.

    Args:
        path: A .jsonl or .csv file; None for stdout.
        scorer: Whose rows they are.
        source: What is watched, as it was given.

    Attributes:
        known: Paths of the files that have a row.
        rows: How many there are.
        earlier: How many of them earlier runs have written.
        flagged: How many of the others were flagged.

    Raises:
        InputError: If the file is no such table, or another artefact or source made it.
    """

    def __init__(self, path: Path | None, scorer: "Scorer", source: str) -> None:
        from edge_ood.tables.formats import format_of, text_format

        self.known: set[str] = set()
        self.rows = self.earlier = self.flagged = 0
        self._path, self._saved = path, list[SavedFile]()
        self._saved_s = time.monotonic()
        if path is None:
            expect_standard_output()
            sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a TextIOWrapper
            self._line = text_format("jsonl", scorer.heads).line
            return
        table_format = format_of(path, None)
        if table_format == "parquet":
            raise InputError("a Parquet table is not added to", hint="-o rows.jsonl")
        self._record = _record(scorer, source, table_format)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Read the table, go on behind its rows, and save it in the end."""
        if self._path is None:
            yield
            return
        with self._locked(self._path):
            self._read(self._path)
            try:
                yield
            finally:
                self._table.save()
                self._table.close()

    def flagged_files(self) -> Iterator[Path]:
        """Files of rows that were flagged, as far as they are there."""
        return (file.path for file in self._saved if file.is_ood and file.path.is_file())

    def write(self, found: "Watched") -> None:
        """Add a row; what reads a pipe has it at once."""
        from edge_ood.files.paths import shown_path

        self.rows += 1
        self.flagged += found.is_ood
        if self._path is None:
            sys.stdout.write(self._line(found.row))
            if found.window is not None and found.window.is_alarm:
                sys.stdout.write(json.dumps(found.window.to_json(), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            return
        self._table.write(found.row)
        self.known.add(shown_path(found.row.path))
        if found.is_ood:  # on the disk before its file goes elsewhere
            self._table.save()
        self._add_alarm(found)
        if time.monotonic() - self._saved_s > _SAVE_S:
            self.save()

    def save(self) -> None:
        """Let all rows outlive a power cut."""
        if self._path is not None:
            self._table.save()
            self._saved_s = time.monotonic()

    def _add_alarm(self, found: "Watched") -> None:
        if found.window is None or not found.window.is_alarm:
            return
        assert self._path is not None
        with self._path.with_name(f"{self._path.name}.drift.jsonl").open(
            "a", encoding="utf-8"
        ) as file:
            file.write(json.dumps(found.window.to_json(), ensure_ascii=False) + "\n")

    def _read(self, path: Path) -> None:
        from edge_ood.tables.run_record import read_record, write_record
        from edge_ood.tables.text_table import TextTable
        from edge_ood.tables.unfinished_table import record_path

        self._table = TextTable(path, self._record.table, self._record.scores)
        beside = record_path(path)
        if path.stat().st_size == 0:
            write_record(beside, self._record)
            self._table.make()
        else:
            made = read_record(beside)
            made.check_same(
                self._record,
                subject=f"cannot go on with '{path}'",
                hint="another table with -o, or the options that it was begun with",
            )
        for row in self._table.saved():
            self.known.add(row.path)
            self._saved.append(SavedFile.of(row))
            self.rows += 1
        self._table.cut(self.rows)
        self.earlier = self.rows

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        try:
            with path.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise InputError(
                        f"another process is writing '{path}'", hint="stop it, or another -o"
                    ) from error
                yield
        except OSError as error:
            raise InputError(
                f"cannot write '{path}': {error.strerror}", hint="choose another with -o"
            ) from error


class SavedFile:
    """A file that has a row."""

    __slots__ = ("is_ood", "path")

    def __init__(self, path: Path, *, is_ood: bool) -> None:
        self.path, self.is_ood = path, is_ood

    @classmethod
    def of(cls, row: "SavedRow") -> "SavedFile":
        """Of a row as it stands."""
        from edge_ood.files.paths import path_of

        return cls(path_of(row.path), is_ood=row.is_ood)


def _record(scorer: "Scorer", source: str, table_format: str) -> "RunRecord":
    from edge_ood.tables.run_record import RunRecord
    from edge_ood.tables.shards import Shard

    return RunRecord(
        version=metadata.version("edge-ood"),
        artifact=scorer.file.sha256,
        provider=scorer.provider,
        table=table_format,
        scores=tuple(scorer.heads),
        batch_size=1,
        paths=(valid_text(source),),
        listed="",
        shard=Shard(),
    )
