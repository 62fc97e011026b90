"""The life of a score table: begun, interrupted, gone on with, finished, replaced."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ood.artifact.outputs import Row
from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.output import publish
from edge_ood.tables.formats import SavedRow
from edge_ood.tables.run_record import RunRecord, read_record
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shards import Shard, ShardFiles
from edge_ood.tables.unfinished_table import record_path, unfinished_path
from edge_ood.tables.writer import TableWriter

FORMATS = ("csv", "jsonl", "parquet")
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
HOLDER = """
import sys
from dataclasses import replace
from pathlib import Path
from edge_ood.tables.run_record import read_record
from edge_ood.tables.score_output import ScoreOutput

output = ScoreOutput(Path(sys.argv[1]), "csv")
record = read_record(Path(sys.argv[1] + ".part") / "run.json")
with output.open(record, resume=True) as table:
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=FORMATS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> ScoreOutput:
    """A place for a table of each format."""
    return ScoreOutput(tmp_path / f"t.{request.param}", request.param)


@pytest.fixture
def csv_output(tmp_path: Path) -> ScoreOutput:
    """A place for a table."""
    return ScoreOutput(tmp_path / "t.csv", "csv")


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


def test_a_table_that_bears_its_name_is_finished(output: ScoreOutput) -> None:
    """Until then its rows lie in a folder with the record; then the record lies beside it."""
    name, folder = output.path.name, output.path.parent

    with output.open(record_of(output), resume=False) as table:
        assert [f"{name}.part"] == names(folder)
        assert [name, "run.json"] == sorted(names(folder / f"{name}.part"), reverse=name > "run")
        assert record_of(output) == read_record(folder / f"{name}.part" / "run.json")
        table.rest(())
        table.write(row(Path("a")))
        table.finish(7, "hash")

    record = read_record(folder / f"{name}.run.json")
    assert [name, f"{name}.run.json"] == names(folder)
    assert record.finished is not None
    assert (1, 7, "hash") == tuple(vars(record.finished).values())
    assert record_of(output) == replace(record, finished=None)


@pytest.mark.parametrize("after", [1, 3, 4, 5, 9, 10])
def test_an_interrupted_run_goes_on(output: ScoreOutput, after: int) -> None:
    """Whole batches are kept; the end is as if nothing had happened."""
    files = paths(10)

    interrupt(output, files, min(after, 9))
    if after == 10:  # a second time
        interrupt(output, files, 1, resume=True)
    earlier = score(output, files, resume=True)

    assert shown(files[: min(after, 9) // 4 * 4]) == [saved.path for saved in earlier]
    assert uninterrupted(output, files) == content(output.path)
    assert not unfinished_path(output.path).exists()


def test_a_run_without_a_row_leaves_nothing(output: ScoreOutput) -> None:
    """There is nothing to go on with."""
    interrupt(output, paths(5), 0)

    assert [] == names(output.path.parent)


def test_rows_of_an_earlier_run_outlive_one_that_adds_none(output: ScoreOutput) -> None:
    """Interrupted before it began, a resumed run takes nothing away."""
    interrupt(output, paths(10), 8)

    with pytest.raises(KeyboardInterrupt), output.open(record_of(output), resume=True):
        raise KeyboardInterrupt

    assert 8 == len(score(output, paths(10), resume=True))


def test_resuming_nothing_begins(output: ScoreOutput) -> None:
    """A job may be started with --resume each time."""
    output.check(resume=True, force=False)

    assert [] == score(output, paths(5), resume=True)
    assert uninterrupted(output, paths(5)) == content(output.path)


def test_a_finished_table_has_nothing_left(output: ScoreOutput) -> None:
    """Its rows are counted again, and an unfinished one has none that are final."""
    assert output.finished_rows(record_of(output)) is None
    interrupt(output, paths(5), 4)
    assert output.finished_rows(record_of(output)) is None
    score(output, paths(5), resume=True)

    output.check(resume=True, force=False)
    rows = output.finished_rows(record_of(output))

    assert rows is not None
    assert shown(paths(5)) == [saved.path for saved in rows]


def test_a_finished_table_that_lost_rows_is_damaged(csv_output: ScoreOutput) -> None:
    """Both numbers are in the message."""
    score(csv_output, paths(5))
    whole = csv_output.path.read_bytes()
    csv_output.path.write_bytes(whole[:-1])

    rows = csv_output.finished_rows(record_of(csv_output))

    assert rows is not None
    with pytest.raises(DataError, match="is damaged: 4 whole rows, 5 were written"):
        list(rows)


def test_other_options_do_not_go_on(output: ScoreOutput) -> None:
    """Nothing is changed, unfinished or finished."""
    other = record_of(output, batch_size=2)
    interrupt(output, paths(9), 8)
    before = content(unfinished_path(output.path) / output.path.name)

    with pytest.raises(InputError, match=r"cannot resume '.*': --batch-size was 4 and is 2"):
        score(output, paths(9), resume=True, record=other)

    assert before == content(unfinished_path(output.path) / output.path.name)
    score(output, paths(9), resume=True)
    with pytest.raises(InputError, match="--batch-size was 4 and is 2"):
        output.finished_rows(other)


def test_without_resume_an_unfinished_run_is_an_error(output: ScoreOutput) -> None:
    """The hint names both ways on, and --force starts again."""
    interrupt(output, paths(9), 8)

    with pytest.raises(InputError, match="was begun and is not finished") as raised:
        output.check(resume=False, force=False)
    output.check(resume=True, force=False)
    output.check(resume=False, force=True)

    assert "--resume" in str(raised.value.hint)
    assert "--force" in str(raised.value.hint)
    assert [] == score(output, paths(9))
    assert uninterrupted(output, paths(9)) == content(output.path)


def test_an_existing_table_needs_force(output: ScoreOutput) -> None:
    """It stands until the new one is finished."""
    score(output, paths(3))
    before = content(output.path)

    with pytest.raises(InputError, match="exists") as raised:
        output.check(resume=False, force=False)
    output.check(resume=False, force=True)
    interrupt(output, paths(9), 8)

    assert "--force" in str(raised.value.hint)
    assert before == content(output.path)
    output.check(resume=True, force=False)
    assert 8 == len(score(output, paths(9), resume=True))
    assert uninterrupted(output, paths(9)) == content(output.path)


def test_what_nothing_is_known_about_is_not_gone_on_with(csv_output: ScoreOutput) -> None:
    """A table of another program may be at that name."""
    csv_output.path.write_text("mine")

    with pytest.raises(InputError, match="exists, and nothing says what made it"):
        csv_output.check(resume=True, force=False)

    assert "mine" == csv_output.path.read_text()


@pytest.mark.parametrize("length", [247, 250, 255])
def test_a_name_that_leaves_no_room_for_others_is_an_error(tmp_path: Path, length: int) -> None:
    """The record's name is longer than the table's, and so is that of its unfinished rows."""
    path = tmp_path / "x".ljust(length, "x")
    path.touch()

    with pytest.raises(InputError, match=r"cannot write '.*': File name too long"):
        ScoreOutput(path, "csv").check(resume=False, force=True)

    assert [path] == list(tmp_path.iterdir())


def test_resume_and_force_exclude_each_other(csv_output: ScoreOutput) -> None:
    """One goes on, the other starts again."""
    with pytest.raises(InputError, match="--resume continues a run and --force replaces it"):
        csv_output.check(resume=True, force=True)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling"])
@pytest.mark.parametrize("options", [{}, {"force": True}, {"resume": True}])
def test_somebody_elses_part_is_left_alone(
    csv_output: ScoreOutput, kind: str, options: dict[str, bool]
) -> None:
    """Other programs use that ending, too."""
    theirs = unfinished_path(csv_output.path)
    if kind == "file":
        theirs.write_text("mine")
    elif kind == "folder":
        theirs.mkdir()
        (theirs / "t.csv").write_text("mine")
    else:
        theirs.symlink_to("nowhere")

    with pytest.raises(InputError, match=r"'.*t.csv.part' is no unfinished table") as raised:
        csv_output.check(**{"resume": False, "force": False, **options})

    assert "move it away" in str(raised.value.hint)
    assert theirs.is_symlink() or theirs.exists()


@pytest.mark.parametrize("options", [{}, {"force": True}, {"resume": True}])
def test_a_folder_that_is_no_table_is_left_alone(tmp_path: Path, options: dict[str, bool]) -> None:
    """Even by force no folder of somebody's files is replaced by Parquet."""
    folder = tmp_path / "t.parquet"
    folder.mkdir()
    (folder / "part-00000.parquet").touch()
    (folder / "notes.txt").touch()

    with pytest.raises(InputError, match=r"is no Parquet table: it holds 'notes.txt'"):
        ScoreOutput(folder, "parquet").check(**{"resume": False, "force": False, **options})


def test_parquet_takes_the_place_of_a_single_file(tmp_path: Path) -> None:
    """As earlier versions wrote it, by force."""
    output = ScoreOutput(tmp_path / "t.parquet", "parquet")
    output.path.write_text("old")

    output.check(resume=False, force=True)
    score(output, paths(3))

    assert ["part-00000.parquet"] == names(output.path)


def test_text_does_not_take_the_place_of_a_folder(csv_output: ScoreOutput) -> None:
    """Even by force."""
    csv_output.path.mkdir()

    with pytest.raises(InputError, match="is a folder"):
        csv_output.check(resume=False, force=True)


def test_a_link_is_followed(output: ScoreOutput) -> None:
    """The table, its record and its unfinished rows lie where the link leads."""
    there = output.path.parent / "there"
    there.mkdir()
    output.path.symlink_to(there / output.path.name)

    through = ScoreOutput(output.path, output.path.suffix[1:])
    interrupt(through, paths(9), 5)
    assert [f"{output.path.name}.part"] == names(there)
    score(through, paths(9), resume=True)

    assert output.path.is_symlink()
    assert [output.path.name, f"{output.path.name}.run.json"] == names(there)


def test_files_that_came_and_went_are_taken_as_they_are(output: ScoreOutput) -> None:
    """Rows stay, new files follow at the end, and none has two rows or none."""
    before = paths(12)
    twice = [before[2], before[9]]
    now = [Path("0000-new.png"), *before[2:7], Path("0007-new.png"), *before[7:], *twice]
    interrupt(output, before, 9)

    with output.open(record_of(output), resume=True) as table:
        rest = list(table.rest(ShardFiles(now, Shard(), 4)))
        has_same_files = table.has_same_files
        for path in rest:
            table.write(row(path))
        table.finish(0, "")

    expected = [Path("0000-new.png"), Path("0007-new.png"), *before[8:], *twice]
    rows = output.finished_rows(record_of(output))
    assert not has_same_files
    assert expected == rest
    assert rows is not None
    assert shown([*before[:8], *expected]) == [saved.path for saved in rows]


def test_files_that_went_are_no_reason_to_stop(output: ScoreOutput) -> None:
    """With nothing left to score, the rows that were written are the table."""
    interrupt(output, paths(9), 8)

    assert 8 == len(score(output, paths(3), resume=True))
    assert 8 == sum(1 for _ in output.finished_rows(record_of(output)) or ())


def test_files_behind_the_rows_may_change(output: ScoreOutput) -> None:
    """They were not reached, so nothing has changed for this run."""
    interrupt(output, paths(9), 8)

    with output.open(record_of(output), resume=True) as table:
        rest = list(table.rest([*paths(8), Path("1.png")]))
        same = table.has_same_files
        table.finish(0, "")

    assert [Path("1.png")] == rest
    assert same


def test_a_shard_whose_files_changed_does_not_go_on(output: ScoreOutput) -> None:
    """Its share depends on all files, and others count on it; nothing is changed."""
    record = record_of(output, shard=Shard(1, 2))
    interrupt(output, paths(20), 8, record=record)
    before = content(unfinished_path(output.path) / output.path.name)

    with pytest.raises(InputError, match="the files are not those that it began with"):
        score(output, paths(20)[1:], resume=True, record=record)

    assert before == content(unfinished_path(output.path) / output.path.name)
    assert 8 == len(score(output, paths(20), resume=True, record=record))


def test_another_process_is_kept_out(csv_output: ScoreOutput) -> None:
    """Two that write the same table would mix their rows; a dead process keeps nobody out."""
    interrupt(csv_output, paths(9), 8)
    command = [sys.executable, "-c", HOLDER, str(csv_output.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert b"holding\n" == holder.stdout.readline()

        for resume in (True, False):
            with pytest.raises(InputError, match=r"another process is writing '.*t.csv'"):
                score(csv_output, paths(9), resume=resume)
        holder.kill()

    assert 8 == len(score(csv_output, paths(9), resume=True))


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


def test_an_unfinished_tables_damaged_record_is_an_error(csv_output: ScoreOutput) -> None:
    """It names the file, and the rows stay."""
    interrupt(csv_output, paths(9), 8)
    (unfinished_path(csv_output.path) / "run.json").write_text("{")

    with pytest.raises(ArtifactError, match=r"'.*t.csv.part/run.json' is damaged"):
        score(csv_output, paths(9), resume=True)

    assert (unfinished_path(csv_output.path) / "t.csv").stat().st_size


def test_its_own_files_are_known(csv_output: ScoreOutput, tmp_path: Path) -> None:
    """So that none of them is taken for an input."""
    assert {tmp_path / "t.csv", tmp_path / "t.csv.part", tmp_path / "t.csv.run.json"} == set(
        csv_output.own_files
    )
    assert tmp_path / "t.csv.run.json" == record_path(csv_output.path)


def test_a_writer_that_was_not_finished_is_a_bug(csv_output: ScoreOutput) -> None:
    """A block that forgets the last step publishes nothing."""
    with pytest.raises(AssertionError), csv_output.open(RECORD, resume=False) as table:
        assert isinstance(table, TableWriter)

    assert [] == names(csv_output.path.parent)


def test_a_private_table_stays_private(output: ScoreOutput) -> None:
    """While a new one is made, and afterwards, with its record."""
    score(output, paths(5))
    record = record_path(output.path)
    for path in (output.path, record):
        path.chmod(0o700)

    interrupt(output, paths(5), after=4)
    begun = unfinished_path(output.path).stat().st_mode & 0o777
    score(output, paths(5), resume=True)

    assert 0o700 == begun
    assert [0o700] * 2 == [path.stat().st_mode & 0o777 for path in (output.path, record)]


@pytest.mark.parametrize("resume", [False, True])
def test_leftovers_beside_a_table_go(csv_output: ScoreOutput, resume: bool) -> None:
    """Whether it begins anew or goes on."""
    interrupt(csv_output, paths(5), after=4)
    left = csv_output.path.with_name(".edge-ood-0a1b2c3d.part")
    left.mkdir()
    os.utime(left, (0, 0))

    score(csv_output, paths(5), resume=resume)

    assert not left.exists()
