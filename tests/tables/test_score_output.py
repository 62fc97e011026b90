"""The life of a score table: begun, finished, replaced."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from score_tables import RECORD, interrupt, names, paths, record_of, row, score

from edge_ood.errors import InputError
from edge_ood.tables.run_record import read_record
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.unfinished_table import record_path, unfinished_path
from edge_ood.tables.writer import TableWriter

pytestmark = pytest.mark.usefixtures("no_fsync")


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
