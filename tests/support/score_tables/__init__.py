"""What the tests of score tables share: rows that depend on a path alone, and runs that stop."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.artifact.outputs import Row
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.run_record import RunRecord
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shards import Shard, ShardFiles

RECORD = RunRecord(
    version="0.1.0",
    artifact="ab" * 32,
    provider="cpu",
    table="csv",
    scores=("energy",),
    batch_size=4,
    paths=("images",),
    listed="",
    shard=Shard(),
)


def record_of(output: ScoreOutput, **changes: Any) -> RunRecord:
    """What makes the table."""
    return replace(RECORD, table=output.path.suffix[1:], **changes)


def paths(count: int) -> list[Path]:
    """Files in the stable order."""
    return [Path(f"{i:04}.png") for i in range(count)]


def row(path: Path) -> Row:
    """A row that depends on the path alone."""
    return Row(path, "unreadable", f"cannot read '{path}': gone", {})


def score(
    output: ScoreOutput,
    files: Sequence[Path],
    *,
    resume: bool = False,
    stop_after: int | None = None,
    error: BaseException | None = None,
    record: RunRecord | None = None,
) -> list[SavedRow]:
    """Write all rows, or raise the error after some; returns what was there before."""
    earlier: list[SavedRow] = []
    found = ShardFiles(files, (record or RECORD).shard, RECORD.batch_size)
    with output.open(record or record_of(output), resume=resume) as table:
        for index, path in enumerate(table.rest(found, earlier.append)):
            if index == stop_after:
                raise error or KeyboardInterrupt
            table.write(row(path))
        table.finish(found.total, found.digest)
    return earlier


def interrupt(output: ScoreOutput, files: Sequence[Path], after: int, **options: Any) -> None:
    """A run that is interrupted after some rows."""
    with pytest.raises(KeyboardInterrupt):
        score(output, files, stop_after=after, **options)


def content(path: Path) -> dict[str, bytes]:
    """A file, or all files of a folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {part.name: part.read_bytes() for part in path.iterdir()}


def uninterrupted(output: ScoreOutput, files: Sequence[Path]) -> dict[str, bytes]:
    """What one run writes from begin to end, somewhere else."""
    there = output.path.parent / "elsewhere" / output.path.name
    score(ScoreOutput(there, output.path.suffix[1:]), files, record=record_of(output))
    return content(there)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def shown(files: Iterable[Path]) -> list[str]:
    """Paths as they stand in tables."""
    return [f"./{path}" for path in files]
