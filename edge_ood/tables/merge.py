"""Putting the shards of a run together: the result is the single run's table, byte for byte."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from edge_ood.errors import DataError, InputError
from edge_ood.tables.run_record import Finished, RunRecord, read_record
from edge_ood.tables.score_output import ScoreOutput, checked_rows
from edge_ood.tables.shards import BY_ARCHIVE, BY_BATCH, Shard
from edge_ood.tables.unfinished_table import record_path, unfinished_path
from edge_ood.tables.writer import open_table

__all__ = ["Shards"]

_MOST_NAMED = 20


class Shards:
    """The finished tables of all shards of one run, in any order.

    Args:
        paths: The tables, each with its record beside it; at least one.

    Attributes:
        record: What the single run would have on record.

    Raises:
        ArtifactError: If a record is missing or damaged.
        InputError: If a table is not finished, or of another run; if shards are missing, or there
            twice.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        tables = [(path, *_read_finished(path)) for path in paths]
        _, first, self._finished = tables[0]
        for path, record, finished in tables:
            _check_same_run(path, first, record)
            _check_same_files(self._finished, first, finished, record)
        _check_complete([record.shard for _, record, _ in tables])
        self._tables = sorted(
            ((path, record) for path, record, _ in tables), key=lambda table: table[1].shard.index
        )
        self.record = replace(first, shard=Shard(), finished=None)

    def check(self) -> None:
        """Read all tables once.

        Raises:
            DataError: If one is damaged.
        """
        rows = sum(1 for path, record in self._tables for _ in checked_rows(path, record))
        if self.record.dealt == BY_BATCH and rows != self._finished.files:
            raise DataError(
                f"the shards have {rows} rows, the run has {self._finished.files} files",
                hint="score the shards again with --force",
            )

    def write(self, output: ScoreOutput) -> int:
        """Write all rows in the single run's order; memory does not grow with their number.

        Returns:
            The number of rows.

        Raises:
            DataError: If the disk is full; nothing is left then.
        """
        with output.open(self.record, resume=False, keep=False) as table:
            table.rest(())
            for block in self._blocks():
                table.append(block)
            table.finish(self._finished.files, self._finished.files_hash)
        assert table.finished is not None
        return table.finished.rows

    def _blocks(self) -> Iterator[Any]:
        """A batch of each shard in turn, as the files were dealt out."""
        size = self.record.batch_size
        if self.record.dealt == BY_ARCHIVE:
            yield from self._archives(size)
            return
        shares = [open_table(path, record).blocks(size) for path, record in self._tables]
        while dealt := [block for share in shares if (block := next(share, None)) is not None]:
            yield from dealt

    def _archives(self, size: int) -> Iterator[Any]:
        """All rows of an archive of each shard in turn."""
        shares = [
            groupby(open_table(path, record).archive_blocks(size), key=itemgetter(0))
            for path, record in self._tables
        ]
        while dealt := [found for share in shares if (found := next(share, None)) is not None]:
            for _, blocks in dealt:
                yield from (block for _, block in blocks)


def _read_finished(path: Path) -> tuple[RunRecord, Finished]:
    begun = unfinished_path(path).exists()
    if begun or not os.path.lexists(path):
        raise InputError(
            f"'{path}' is not finished" if begun else f"no table '{path}'",
            hint="score it to its end with --resume" if begun else "check the path",
        )
    record = read_record(record_path(path))
    if record.finished is None:
        raise InputError(f"'{record_path(path)}' is of no finished table", hint="score it again")
    return record, record.finished


def _check_same_run(path: Path, first: RunRecord, record: RunRecord) -> None:
    one, other = (replace(r, shard=replace(r.shard, index=1)) for r in (first, record))
    subject = f"shard {record.shard} in '{path}' is of another run than shard {first.shard}"
    one.check_same(other, subject=subject, hint="merge all shards of one run, and nothing else")


def _check_same_files(a: Finished, first: RunRecord, b: Finished, record: RunRecord) -> None:
    if a.files_hash != b.files_hash:
        raise InputError(
            f"shard {record.shard} found {b.files} files, shard {first.shard} found {a.files},"
            " and not the same",
            hint="score a list of names on standard input, which is the same for all",
        )


def _check_complete(shards: Sequence[Shard]) -> None:
    count = shards[0].count
    given = Counter(shard.index for shard in shards)
    absent = islice((i for i in range(1, count + 1) if i not in given), _MOST_NAMED + 1)
    twice = (i for i in sorted(given) if given[i] > 1)
    for problem, found in (("not given", list(absent)), ("given twice", list(twice))):
        if found:
            named = [f"{index}/{count}" for index in found[:_MOST_NAMED]]
            more = ["..."] if len(found) > _MOST_NAMED else []
            raise InputError(
                f"{problem}: shard {', '.join([*named, *more])}",
                hint="merge all shards of one run, each once",
            )
