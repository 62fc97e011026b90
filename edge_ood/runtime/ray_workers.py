"""What works on the nodes of a Ray cluster: actors that score with an artefact."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from edge_ood.artifact.outputs import Scores
from edge_ood.errors import EdgeOodError
from edge_ood.files.stored import AnyImage, archive_of, image_batches
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.shard_tables import ShardTables
from edge_ood.tables.shards import Shard, ShardArchives, ShardFiles

__all__ = ["BatchScores", "Cluster", "Files", "Place", "ShardScorer"]

Files = Callable[[Shard, int], ShardFiles | ShardArchives]
"""The images of a share of the run, listed where it is called."""


@dataclass(frozen=True)
class Cluster:
    """Where the work is done.

    Attributes:
        address: `auto` for the cluster that this machine is in, `local` for one that lives as long
            as the run, `ray://HOST:PORT`, or a head's address.
        workers: Actors; 0 for as many as there are cores for.
        cores_per_worker: Of each.
        provider: onnxruntime's, for all.
    """

    address: str = "auto"
    workers: int = 0
    cores_per_worker: int = 1
    provider: str = "cpu"


@dataclass(frozen=True)
class Place:
    """What an actor needs wherever it is.

    Attributes:
        artifact: Reference to the artefact's bytes; inside a tuple it is not sent along.
        cluster: As asked for.
        folder: The driver's, so that rows name files as it does.
    """

    artifact: tuple[Any]
    cluster: Cluster
    folder: str

    def scorer(self, heads: Sequence[str]) -> Scorer:
        """The artefact, opened there."""
        import ray  # noqa: PLC0415  # optional

        os.chdir(self.folder)
        return opened(ray.get(self.artifact[0]), self.cluster.provider, heads=heads)


@dataclass(frozen=True)
class BatchScores:
    """Scores of one worker's share of images, which go back to the driver.

    Attributes:
        artifact: Its bytes.
        provider: onnxruntime's.
        folder: The driver's, so that images are found by the names that it has for them.
        files: All images.
        batch_size: Images per inference.
    """

    artifact: bytes
    provider: str
    folder: str
    files: Any
    batch_size: int

    def __call__(self, index: int, count: int) -> list[Scores]:
        """Of each batch, or each archive, of a share."""
        os.chdir(self.folder)
        shard = Shard(index + 1, count)
        scorer = opened(self.artifact, self.provider, calibrated=False)
        deals: Iterable[Iterable[AnyImage]]
        if getattr(self.files, "are_archives", False):
            images = ShardArchives(self.files, shard, self.batch_size)
            deals = (together for _, together in groupby(images, key=archive_of))
        else:
            deals = image_batches(ShardFiles(self.files, shard, self.batch_size), self.batch_size)
        return [scorer.score_files(deal, batch_size=self.batch_size) for deal in deals]


def opened(artifact: bytes, provider: str, **options: Any) -> Scorer:
    """An artefact, with one thread for each inference."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(artifact)
        file.flush()
        return Scorer(file.name, provider=provider, threads=1, **options)


class ShardScorer:
    """An actor: opens the artefact once, and writes the table of one shard after another."""

    def __init__(self, place: Place, files: Files, tables: ShardTables) -> None:
        self._files, self._tables, self._cluster = files, tables, place.cluster
        self._scorer = place.scorer(tables.record(1).scores)

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        """One row that says what became of one shard."""
        index = int(batch["shard"][0])
        statuses: Counter[str] = Counter()
        flagged, error, hint = 0, "", ""
        try:
            for row in self._rows(index):
                statuses[row.status] += 1
                flagged += bool(row.values.get("is_ood"))
        except EdgeOodError as refused:  # would be tried for ever
            error, hint = str(refused), refused.hint or "see the shard's table"
        return {
            "shard": [index],
            "statuses": [list(statuses)],
            "counts": [list(statuses.values())],
            "flagged": [flagged],
            "error": [error],
            "hint": [hint],
        }

    def _rows(self, index: int) -> Iterator[Any]:
        record = self._tables.record(index)
        files = self._files(record.shard, record.batch_size)
        with self._tables.output(index).open(record, resume=False) as table:
            rows = self._scorer.stream(
                table.rest(files),
                batch_size=record.batch_size,
                threads=self._cluster.cores_per_worker,
            )
            for row in rows:
                table.write(row)
                yield row
            table.finish(files.total, files.digest)
