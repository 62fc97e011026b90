"""A SIGKILL before any file operation, and in the middle of any write, loses no row."""

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = r"""
import os, shutil, signal, sys
from dataclasses import replace
from pathlib import Path

from edge_ood.tables import parquet_table, text_table, writer
from edge_ood.artifact.outputs import Row
from edge_ood.tables.run_record import RunRecord, read_record
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.unfinished_table import record_path, unfinished_path
from edge_ood.tables.shards import Shard, ShardFiles

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
FORCED = {"fresh": False, "forced": True}[sys.argv[2]]
FORMAT = sys.argv[1]
parquet_table._ROWS_PER_PART = 4
writer.SAVE_EVERY_S = 0
os.fsync = lambda _: None  # a kill loses nothing that the kernel was given
FILES = ShardFiles([Path(f'{i:02}\n".png') for i in range(9)], Shard(), 3)
NEW = RunRecord("0.1.0", "new", "cpu", FORMAT, ("energy",), 3, ("images",), "", Shard())
OLD = replace(NEW, artifact="old")
folder = Path(sys.argv[3])


def run(output, record, *, resume):
    with output.open(record, resume=resume) as table:
        for path in table.rest(FILES):
            table.write(Row(path, "unreadable", record.artifact, {}))
        table.finish(FILES.total, FILES.digest)


def content(path):
    if path.is_dir():
        return tuple((part.name, part.read_bytes()) for part in sorted(path.iterdir()))
    return path.read_bytes() if path.exists() else None


def begin(name):
    if FORCED:
        shutil.copytree(folder / "old", folder / name)
    return ScoreOutput(folder / name / f"t.{FORMAT}", FORMAT)


def die_at(point):
    # Count what changes the disk, and be killed before the operation of this number; or after half
    # of it, if it is a write.
    left = [point]

    def step():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):
        opens_to_write = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or opens_to_write:
            step()

    def write_half(file, data):
        half = file.write(data[: len(data) // 2])
        step()
        return half

    write_whole, write_bytes = text_table._write, Path.write_bytes

    def write_text_halves(file, data):
        return write_half(file, data) if len(data) > 1 else write_whole(file, data)

    def write_file_halves(path, data):
        with path.open("wb", buffering=0) as file:
            half = write_half(file, memoryview(data))
            file.write(memoryview(data)[half:])

    text_table._write = write_text_halves
    Path.write_bytes = write_file_halves
    sys.addaudithook(hook)


run(ScoreOutput(folder / "old" / f"t.{FORMAT}", FORMAT), OLD, resume=False)
old = content(folder / "old" / f"t.{FORMAT}") if FORCED else None
run(begin("reference"), NEW, resume=False)
new = content(folder / "reference" / f"t.{FORMAT}")
assert new is not None and new != old

point, alive = 0, False
states = set()
while not alive:
    point += 1
    output = begin(str(point))
    child = os.fork()
    if not child:
        die_at(point)
        run(output, NEW, resume=False)
        os._exit(0)
    alive = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    now, begun = content(output.path), unfinished_path(output.path).exists()
    assert now in (old, new, None), (point, now)
    assert now is not None or begun or not FORCED, point
    if record_path(output.path).exists() and not begun:
        assert read_record(record_path(output.path)).artifact == {old: "old", new: "new"}[now]
    states.add((now == new, now == old, begun))
    if begun and point % 3 == 0:
        # Killed again, at the next attempt to start anew.
        child = os.fork()
        if not child:
            die_at(point // 3)
            output.check(resume=False, force=True)
            run(output, NEW, resume=False)
            os._exit(0)
        os.waitpid(child, 0)
        now, begun = content(output.path), unfinished_path(output.path).exists()
    output.check(resume=begun, force=not begun)
    if begun or now is None:
        run(output, NEW, resume=True)
    elif now == new and record_path(output.path).exists():
        assert sum(1 for _ in output.finished_rows(NEW)) == 9, point
    else:
        run(output, NEW, resume=False)
    assert content(output.path) == new, point
    left = {path.name for path in output.path.parent.iterdir()}
    visible = {name for name in left if not name.startswith(".edge-ood-")}
    assert visible == {output.path.name, record_path(output.path).name}, (point, left)
    shutil.rmtree(output.path.parent)
print(point - 1, len(states))
"""


@pytest.mark.parametrize(
    ("table_format", "before"),
    [
        ("csv", "forced"),
        ("parquet", "forced"),
        *(pytest.param(name, "fresh", marks=pytest.mark.slow) for name in ("csv", "parquet")),
        *(pytest.param("jsonl", kind, marks=pytest.mark.slow) for kind in ("fresh", "forced")),
    ],
)
def test_a_kill_at_any_point_loses_nothing(tmp_path: Path, table_format: str, before: str) -> None:
    """What bears the table's name is whole each time, and going on ends with the same bytes."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS, table_format, before, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == done.stderr
    kills, states = map(int, done.stdout.split())
    assert 40 < kills
    assert 3 <= states
