"""A score table that was interrupted: what goes on, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from score_tables import (
    content,
    interrupt,
    names,
    paths,
    record_of,
    row,
    score,
    shown,
    uninterrupted,
)

from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shards import Shard, ShardFiles
from edge_ood.tables.unfinished_table import unfinished_path

pytestmark = pytest.mark.usefixtures("no_fsync")


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


def test_an_unfinished_tables_damaged_record_is_an_error(csv_output: ScoreOutput) -> None:
    """It names the file, and the rows stay."""
    interrupt(csv_output, paths(9), 8)
    (unfinished_path(csv_output.path) / "run.json").write_text("{")

    with pytest.raises(ArtifactError, match=r"'.*t.csv.part/run.json' is damaged"):
        score(csv_output, paths(9), resume=True)

    assert (unfinished_path(csv_output.path) / "t.csv").stat().st_size
