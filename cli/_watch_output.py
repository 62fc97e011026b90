"""Where the rows of `edge-ood watch` go: a table that later runs go on with, or a pipe."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.cli._score_inputs import run_record
from edge_ood.cli._streams import expect_standard_output
from edge_ood.errors import InputError
from edge_ood.files.locks import exclusive

if TYPE_CHECKING:
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.runtime.watch import Watched

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
        self._path, self._flagged = path, list[Path]()
        self._saved_s = time.monotonic()
        if path is None:
            expect_standard_output()
            sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # a TextIOWrapper
            self._line = text_format("jsonl", scorer.heads).line
            return
        table_format = format_of(path, None)
        if table_format == "parquet":
            raise InputError("a Parquet table is not added to", hint="-o rows.jsonl")
        self._record = run_record(scorer, (source,), table_format, batch_size=1)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Read the table, go on behind its rows, and save it in the end."""
        if self._path is None:
            yield
            return
        try:
            file = self._path.open("a")
        except OSError as error:
            raise InputError(
                f"cannot write '{self._path}': {error.strerror}", hint="choose another with -o"
            ) from error
        with file, exclusive(file, self._path):
            self._read(self._path)
            try:
                yield
            finally:
                self._table.save()
                self._table.close()

    def flagged_files(self) -> Iterator[Path]:
        """Files of rows that were flagged, as far as they are there."""
        return (path for path in self._flagged if path.is_file())

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
        from edge_ood.files.paths import path_of
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
            if row.is_ood:
                self._flagged.append(path_of(row.path))
            self.rows += 1
        self._table.cut(self.rows)
        self.earlier = self.rows
