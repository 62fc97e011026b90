"""A score table on a disk: full, flushed, and saved every few seconds."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from score_tables import content, names, paths, record_of, row, score, uninterrupted

from edge_ood.errors import DataError
from edge_ood.files.output import publish
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.unfinished_table import record_path

pytestmark = pytest.mark.usefixtures("no_fsync")


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


WRITES = {
    "csv": "edge_ood.tables.text_table._write",
    "jsonl": "edge_ood.tables.text_table._write",
    "parquet": "edge_ood.tables.parquet_table.replacing",
}


def test_a_full_disk_leaves_what_was_saved(
    output: ScoreOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error with the number of safe rows, and going on when there is room again."""
    files = paths(10)

    def run() -> None:
        with output.open(record_of(output), resume=False) as table:
            for path in table.rest(files):
                if path == files[5]:
                    table._next_save = 0
                if path == files[7]:
                    table._next_save = 0
                    monkeypatch.setattr(WRITES[output.path.suffix[1:]], full_disk)
                table.write(row(path))

    with pytest.raises(DataError, match=r"cannot write '.*': No space left on device") as raised:
        run()
    monkeypatch.undo()

    assert "free some space; 6 rows are safe, and --resume goes on" == raised.value.hint
    assert 4 == len(score(output, files, resume=True))
    assert uninterrupted(output, files) == content(output.path)


def test_a_disk_that_is_full_at_once_is_left_empty(
    output: ScoreOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to go on with is nothing to leave behind."""
    monkeypatch.setattr("edge_ood.tables.unfinished_table.write_record", full_disk)

    with pytest.raises(DataError, match=r"cannot write '.*': No space left on device"):
        score(output, paths(5))

    assert [] == names(output.path.parent)


def test_a_disk_that_is_full_at_the_end_keeps_all_rows(
    output: ScoreOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is whole, and --resume puts it in its place."""
    monkeypatch.setattr("edge_ood.tables.unfinished_table.publish", full_disk)
    with pytest.raises(DataError, match="cannot write") as raised:
        score(output, paths(8))
    monkeypatch.undo()

    assert "--resume" in str(raised.value.hint)
    assert not output.path.exists()
    assert 8 == len(score(output, paths(8), resume=True))
    assert uninterrupted(output, paths(8)) == content(output.path)


def test_rows_are_saved_every_few_seconds(
    output: ScoreOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every two, that is: not at every row, and not only at the end."""
    now = [100.0]
    monkeypatch.setattr("edge_ood.tables.writer.time.monotonic", lambda: now[0])

    with output.open(record_of(output), resume=False) as table:
        saved = []
        for path in table.rest(paths(30)):
            now[0] += 1
            table.write(row(path))
            saved.append(table.saved_rows)
        table.finish(30, "")

    assert [rows - rows % 2 for rows in range(1, 31)] == saved


def test_what_gets_a_name_is_on_the_disk(
    output: ScoreOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table and record were synchronised at their full size before they were put in place."""
    synchronised, in_place = set(), []

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        synchronised.add((status.st_ino, status.st_size))

    def check(made: Path, target: Path) -> None:
        for path in made.iterdir() if made.is_dir() else [made]:
            in_place.append((path.stat().st_ino, path.stat().st_size) in synchronised)
        publish(made, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr("edge_ood.tables.unfinished_table.publish", check)
    score(output, paths(5))

    assert [True, True] == in_place
    status = record_path(output.path).stat()
    assert (status.st_ino, status.st_size) in synchronised
