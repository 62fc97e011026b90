"""A folder of tables, one for each shard of a run: what is finished, and what is left to score."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edge_ood.errors import InputError
from edge_ood.files.output import discard
from edge_ood.sources import check_can_write, file_names, place_in_store, remove
from edge_ood.tables.formats import FORMATS
from edge_ood.tables.run_record import RunRecord
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shards import Shard
from edge_ood.tables.stored_output import local_path, score_output

__all__ = ["ShardTables", "Tallied"]

_TABLE = re.compile(r"[0-9]{5}-of-([0-9]{5})\.")


@dataclass(frozen=True)
class Tallied:
    """What a shard's table says.

    Attributes:
        shard: Its number, from 1.
        statuses: Rows by status.
        flagged: Rows that were flagged as OOD.
    """

    shard: int
    statuses: Mapping[str, int]
    flagged: int


class ShardTables:
    """A folder with one table for each shard of a run.

    Args:
        folder: A path, or a URL; may not exist.
        record: What makes the rows; its shard is replaced.
        count: Number of shards of a new run; a begun one keeps its own.

    Attributes:
        ending: Of the tables' names.

    Raises:
        DataError: If a store does not say what it holds.
        InputError: If the folder holds anything else.
    """

    def __init__(self, folder: str, record: RunRecord, count: int) -> None:
        self.folder, self._record = folder.rstrip("/"), record
        self.ending = FORMATS[record.table][0]
        self.count = self._begun_count() or count

    def name(self, index: int) -> str:
        """The table of a shard: a path, or a URL."""
        return f"{self.folder}/{index:05}-of-{self.count:05}{self.ending}"

    def output(self, index: int) -> ScoreOutput:
        """The place of a shard's table."""
        return score_output(self.name(index), self._record.table)

    def record(self, index: int) -> RunRecord:
        """What makes the rows of a shard."""
        return replace(self._record, shard=Shard(index, self.count))

    def finished(self) -> Iterator[Tallied]:
        """What earlier runs have finished.

        Raises:
            ArtifactError: If a record is damaged.
            InputError: If other options made a table.
        """
        for index in range(1, self.count + 1):
            rows = self.output(index).finished_rows(self.record(index))
            if rows is not None:
                statuses: Counter[str] = Counter()
                flagged = 0
                for row in rows:
                    statuses[row.status] += 1
                    flagged += row.is_ood
                yield Tallied(index, dict(statuses), flagged)

    @classmethod
    def clear(cls, folder: str) -> None:
        """Remove the tables of an earlier run, and nothing else.

        Raises:
            InputError: If the folder holds anything else.
        """
        names = _names_in(folder)
        for name in names:
            _check_is_of_run(name, folder)
        path = local_path(folder)
        for name in names:
            if path is None:
                remove(place_in_store(f"{folder}/{name}"))
            else:
                discard(path / name)

    def check(self, *, resume: bool) -> None:
        """Make the folder, or refuse one that holds tables, unless they are gone on with.

        Raises:
            InputError: If that is so.
        """
        if _names_in(self.folder) and not resume:
            raise InputError(
                f"'{self.folder}' exists", hint="--resume goes on, --force starts again"
            )
        path = local_path(self.folder)
        if path is None:
            check_can_write(place_in_store(self.name(1)))
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot write '{self.folder}': {error.strerror}", hint="choose another folder"
            ) from error

    def _begun_count(self) -> int:
        counts = {_check_is_of_run(name, self.folder) for name in _names_in(self.folder)}
        if len(counts) > 1:
            raise InputError(
                f"'{self.folder}' holds tables of several runs", hint="choose another folder"
            )
        return counts.pop() if counts else 0


def _names_in(folder: str) -> list[str]:
    path = local_path(folder)
    if path is None:
        return file_names(place_in_store(folder))
    if path.exists() and not path.is_dir():
        raise InputError(f"'{folder}' is a file", hint="name a folder for the shards")
    return sorted(each.name for each in path.iterdir()) if path.exists() else []


def _check_is_of_run(name: str, folder: str) -> int:
    """How many tables the run has that this one belongs to."""
    match = _TABLE.match(name)
    if match is None:
        raise InputError(
            f"'{folder}' holds {name!r}, which is no table of a run",
            hint="choose another folder",
        )
    return int(match[1])
