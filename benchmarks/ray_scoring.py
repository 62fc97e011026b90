"""Scoring on Ray against the local engine, on the same two cores of this machine.

Run `python benchmarks/ray_scoring.py FOLDER`, with JPEG files below FOLDER, which are scored again
and again until there are `--images` of them. Each engine has 2 threads of inference: the local one
two in one process, Ray two workers. Its steady state begins when the first shard is back: starting
processes and opening the artefact are told apart. Rows must be identical.

With `--memory` it is run for a tenth of the images as well, and the resident memory of driver and
workers is compared.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from machine import machine
from promises import Promise, at_least, at_most

from edge_ood.artifact.outputs import Row
from edge_ood.runtime.on_ray import Cluster, score_on_ray
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.merge import Shards
from edge_ood.tables.run_record import RunRecord
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shard_tables import ShardTables
from edge_ood.tables.shards import Shard, ShardFiles

WORKERS, BATCH, SHARDS = 2, 8, 10
KEPT, FLAT = 0.85, 1.10
PAGE = os.sysconf("SC_PAGESIZE")
WATCH_S = 0.2


def files_of(paths: list[Path], count: int, shard: Shard, batch_size: int) -> ShardFiles:
    """A share of so many files: those that there are, again and again."""
    return ShardFiles(_Repeated(paths, count), shard, batch_size)


class _Repeated:
    """A long list of few files, which takes no memory."""

    def __init__(self, paths: list[Path], count: int) -> None:
        self._paths, self._count = paths, count

    def __iter__(self) -> Iterator[Path]:
        return (self._paths[i % len(self._paths)] for i in range(self._count))

    def __len__(self) -> int:
        return self._count


def local(scorer: Scorer, paths: list[Path], count: int, output: ScoreOutput) -> float:
    """Images a second of the local engine, table included."""
    files = files_of(paths, count, Shard(), BATCH)
    started = time.monotonic()
    with output.open(record_of(scorer), resume=False) as table:
        rows: Iterator[Row] = scorer.stream(table.rest(files), batch_size=BATCH, threads=WORKERS)
        for row in rows:
            table.write(row)
        table.finish(files.total, files.digest)
    return count / (time.monotonic() - started)


def on_ray(
    artifact: Path, tables: ShardTables, paths: list[Path], count: int
) -> tuple[float, float]:
    """Images a second once all workers are at work, and the seconds until then."""
    cluster, started = Cluster("local", WORKERS), time.time()
    for _ in score_on_ray(artifact, partial(files_of, paths, count), tables, cluster):
        pass
    # What comes back comes in bundles; a table is in its place when its shard is done.
    ended = sorted(tables.path(index + 1).stat().st_mtime for index in range(SHARDS))
    steady = (SHARDS - WORKERS) * count / SHARDS / (ended[-1] - ended[WORKERS - 1])
    return steady, ended[WORKERS - 1] - started - WORKERS * count / SHARDS / steady


def record_of(scorer: Scorer) -> RunRecord:
    """What makes the rows."""
    version = metadata.version("edge-ood")
    sha256, heads = scorer.file.sha256, scorer.heads
    return RunRecord(version, sha256, "cpu", "csv", heads, BATCH, ("images",), "", Shard())


class Resident:
    """The most memory that this process and the workers of Ray held, in MiB."""

    def __init__(self) -> None:
        self.driver = self.worker = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Resident":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(WATCH_S):
            self.driver = max(self.driver, _resident(os.getpid()))
            for process in (int(e.name) for e in Path("/proc").iterdir() if e.name.isdecimal()):
                if "ShardScorer" in _name(process):
                    self.worker = max(self.worker, _resident(process))


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


def _resident(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * PAGE / 2**20
    except OSError:
        return 0.0


def measured(artifact: Path, paths: list[Path], count: int, rounds: int) -> list[Promise]:
    """The engines in turn."""
    scorer = Scorer(artifact, provider="cpu", threads=1)
    here, there, starting, same = [], [], [], True
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            here.append(local(scorer, paths, count, ScoreOutput(folder / "local.csv", "csv")))
            tables = ShardTables(folder / "shards", record_of(scorer), SHARDS)
            tables.check(resume=False)
            steady, start = on_ray(artifact, tables, paths, count)
            there.append(steady)
            starting.append(start)
            merged = Shards([tables.path(i + 1) for i in range(SHARDS)])
            merged.write(ScoreOutput(folder / "merged.csv", "csv"))
            whole, other = ((folder / name).read_bytes() for name in ("local.csv", "merged.csv"))
            same = same and whole == other
    print(f"local {statistics.median(here):.0f} images/s, Ray {statistics.median(there):.0f},"
          f" {statistics.median(starting):.1f} s to start")  # fmt: skip
    kept = statistics.median(t / h for t, h in zip(there, here, strict=True))
    identical = Promise("rows of Ray and of the local engine", "identical" if same else "differ",
                        "identical", same)  # fmt: skip
    return [at_least("throughput of Ray against the local engine", kept, KEPT), identical]


def memory(artifact: Path, paths: list[Path], count: int) -> list[Promise]:
    """At a tenth of the images, and at all."""
    found = []
    for images in (count // 10, count):
        with tempfile.TemporaryDirectory() as scratch, Resident() as resident:
            scorer = Scorer(artifact, provider="cpu", threads=1)
            tables = ShardTables(Path(scratch) / "shards", record_of(scorer), SHARDS)
            tables.check(resume=False)
            on_ray(artifact, tables, paths, images)
        print(f"{images} images: driver {resident.driver:.0f} MiB, worker {resident.worker:.0f}")
        found.append(resident)
    few, many = found
    return [
        at_most("memory of the driver, all images against a tenth", many.driver / few.driver, FLAT),
        at_most("memory of a worker, likewise", many.worker / few.worker, FLAT),
    ]


def main() -> None:
    """Print what was measured, then one line per goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    chosen = parser.parse_args()
    paths = sorted(p for p in chosen.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    print(machine(f"medians of {chosen.rounds} rounds"))
    goals: list[Promise] = []
    if chosen.rounds:
        goals += measured(chosen.artifact, paths, chosen.images, chosen.rounds)
    if chosen.memory:
        goals += memory(chosen.artifact, paths, chosen.images)
    for goal in goals:
        print(goal)


if __name__ == "__main__":
    main()
