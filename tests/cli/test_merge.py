"""`edge-ood merge`: the single run's table, or one line that says why not."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner, Result

from edge_ood.artifact.metadata import store_metadata
from edge_ood.artifact.outputs import Row
from edge_ood.cli.app import app
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.writer import TableWriter

FORMATS = ("csv", "jsonl", "parquet")
FILES = 24


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def run(*arguments: object, stdin: bytes = b"") -> Result:
    """Run `edge-ood` in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin)


def score(*arguments: object, stdin: bytes = b"") -> Result:
    """Run `edge-ood score` in batches of 4."""
    return run("score", *arguments, "--batch-size", 4, stdin=stdin)


def content(name: str) -> dict[str, bytes]:
    """A file, or all files of a folder."""
    path = Path(name)
    if path.is_file():
        return {"": path.read_bytes()}
    return {part.name: part.read_bytes() for part in path.iterdir()}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_shards_make_the_single_runs_table(
    artefact: str, folder: Path, ending: str, count: int
) -> None:
    """Byte for byte and in any order, also where there are more shards than batches."""
    score(artefact, "images", "-o", f"whole.{ending}")
    shards = [f"s{i}.{ending}" for i in range(1, count + 1)]
    for index, shard in enumerate(shards, start=1):
        assert 0 == score(artefact, "images", "-o", shard, "--shard", f"{index}/{count}").exit_code

    result = run("merge", *reversed(shards), "-o", f"out.{ending}")

    assert 0 == result.exit_code
    assert f"{FILES} rows in 'out.{ending}'\n" == result.stderr
    assert content(f"whole.{ending}") == content(f"out.{ending}")
    assert content(f"whole.{ending}.run.json") == content(f"out.{ending}.run.json")


@pytest.fixture
def shards(artefact: str, folder: Path) -> list[str]:
    """Three finished shards."""
    for index in (1, 2, 3):
        score(artefact, "images", "-o", f"s{index}.csv", "--shard", f"{index}/3")
    return ["s1.csv", "s2.csv", "s3.csv"]


def check_refused(result: Result, message: str) -> None:
    """One line with a hint, and nothing written."""
    assert 1 == result.exit_code, result.output
    assert message in result.stderr
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]
    assert not Path("out.csv").exists()
    assert not Path("out.csv.part").exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["s2.csv"], "error: not given: shard 1/3, 3/3\n"),
        (["s1.csv", "s2.csv", "s3.csv", "s2.csv"], "error: given twice: shard 2/3\n"),
        (["s1.csv", "s9.csv"], "error: no table 's9.csv'\n"),
    ],
)
def test_missing_shards_are_named(shards: list[str], names: list[str], message: str) -> None:
    """Each must be there, once."""
    check_refused(run("merge", *names, "-o", "out.csv"), message)


def test_shards_of_different_runs_are_not_mixed(artefact: str, shards: list[str]) -> None:
    """By options, by number and by the files they found."""
    score(artefact, "images", "-o", "other.csv", "--shard", "3/3", "--scores", "energy")
    score(artefact, "images", "-o", "four.csv", "--shard", "3/4")
    Path("images/0-new.png").touch()
    score(artefact, "images", "-o", "later.csv", "--shard", "3/3")

    for name, message in (
        ("other.csv", "in 'other.csv' is of another run than shard 1/3: --scores was "),
        ("four.csv", "in 'four.csv' is of another run than shard 1/3: --shard was 1/3 and is 1/4"),
        (
            "later.csv",
            f"shard 3/3 found {FILES + 1} files, shard 1/3 found {FILES}, and not the same",
        ),
    ):
        check_refused(run("merge", "s1.csv", "s2.csv", name, "-o", "out.csv"), message)


def test_an_unfinished_shard_is_not_merged(
    artefact: str, shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is new or replaces a finished one."""
    write = TableWriter.write

    def write_some(self: TableWriter, row: Row) -> None:
        if row.path.name == "grey.png":
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(TableWriter, "write", write_some)
        score(artefact, "images", "-o", "new.csv", "--shard", "3/3")
        score(artefact, "images", "-o", "s3.csv", "--shard", "3/3", "--force")

    for name in ("new.csv", "s3.csv"):
        result = run("merge", "s1.csv", "s2.csv", name, "-o", "out.csv")
        check_refused(
            result, f"error: '{name}' is not finished\nhint: score it to its end with --resume"
        )


def test_a_damaged_shard_is_not_merged(shards: list[str]) -> None:
    """Neither its table nor its record."""
    whole = Path("s2.csv").read_bytes()
    Path("s2.csv").write_bytes(whole[:-5])
    check_refused(run("merge", *shards, "-o", "out.csv"), "'s2.csv' is damaged: 7 whole rows, 8 ")
    Path("s2.csv").write_bytes(whole)
    Path("s2.csv.run.json").unlink()
    check_refused(run("merge", *shards, "-o", "out.csv"), "no file '")


def test_shards_that_do_not_add_up_are_not_merged(shards: list[str]) -> None:
    """A run of as many files has as many rows."""
    for name in shards:
        record = Path(f"{name}.run.json")
        record.write_text(record.read_text().replace(f'"files": {FILES}', f'"files": {FILES + 1}'))

    check_refused(
        run("merge", *shards, "-o", "out.csv"),
        f"error: the shards have {FILES} rows, the run has {FILES + 1} files\n",
    )


def test_an_interrupted_merge_leaves_nothing(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done again in a moment."""
    append = TableWriter.append

    def append_some(self: TableWriter, block: list[bytes]) -> None:
        append(self, block)
        if self._table.saved_rows or len(block) < 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("edge_ood.tables.text_table._WAITING_BYTES", 1)
    monkeypatch.setattr(TableWriter, "append", append_some)
    before = sorted(path.name for path in Path().iterdir())

    result = run("merge", *shards, "-o", "out.csv")

    assert 130 == result.exit_code
    assert before == sorted(path.name for path in Path().iterdir())


def test_a_full_disk_leaves_nothing_of_a_merge(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fills amid the rows or at the end; the hint promises nothing else."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("edge_ood.tables.text_table._write", "edge_ood.tables.unfinished_table.publish"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            result = run("merge", *shards, "-o", "out.csv")
        check_refused(
            result, "cannot write 'out.csv': No space left on device\nhint: free some space or"
        )


def test_an_existing_table_is_not_merged_over(shards: list[str]) -> None:
    """Without --force."""
    Path("mine.csv").write_text("mine")

    refused = run("merge", *shards, "-o", "mine.csv")
    assert "mine" == Path("mine.csv").read_text()
    forced = run("merge", *shards, "-o", "mine.csv", "--force")

    assert (1, 0) == (refused.exit_code, forced.exit_code)
    assert "'mine.csv' exists" in refused.stderr
    assert Path("mine.csv").read_text("utf-8").startswith("path,status")


def test_a_table_merged_into_another_format_is_a_slip(shards: list[str]) -> None:
    """A name of any other ending is taken."""
    assert 2 == run("merge", *shards, "-o", "out.parquet").exit_code
    assert 0 == run("merge", *shards, "-o", "out.txt").exit_code


@pytest.mark.parametrize("ending", FORMATS)
def test_class_names_may_hold_anything(artefact: str, folder: Path, ending: str) -> None:
    """Tables with a NUL in each class name are whole to `--resume` and to `merge`."""
    model = onnx.load(artefact)
    metadata = Scorer(artefact, provider="cpu").metadata
    store_metadata(model, replace(metadata, classes=tuple(f"{c}\0\n" for c in metadata.classes)))
    onnx.save(model, "x.onnx")
    score("x.onnx", "images", "-o", f"whole.{ending}")
    shards = [f"s{i}.{ending}" for i in (1, 2)]
    for index, shard in enumerate(shards, start=1):
        score("x.onnx", "images", "-o", shard, "--shard", f"{index}/2")

    again = score("x.onnx", "images", "-o", f"whole.{ending}", "--resume")
    merged = run("merge", *shards, "-o", f"out.{ending}")

    assert (0, 0) == (again.exit_code, merged.exit_code)
    assert f"all {FILES} files were scored earlier" in again.stderr
    assert content(f"whole.{ending}") == content(f"out.{ending}")
