"""`edge-ood score --resume` and `--shard`."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edge_ood.artifact.outputs import Row
from edge_ood.cli.app import app
from edge_ood.runtime.artifact_session import ArtifactSession
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


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `edge-ood score` and interrupts it before it writes the row of a number."""

    def interrupted_score(before: int, *arguments: object, stdin: bytes = b"") -> Result:
        write = TableWriter.write
        rows = [0]

        def write_some(self: TableWriter, row: Row) -> None:
            if rows[0] == before:
                raise KeyboardInterrupt
            rows[0] += 1
            write(self, row)

        with monkeypatch.context() as patch:
            patch.setattr(TableWriter, "write", write_some)
            return score(*arguments, stdin=stdin)

    return interrupted_score


@pytest.mark.parametrize("ending", FORMATS)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    artefact: str, folder: Path, interrupted: Any, ending: str
) -> None:
    """The table is the same, byte for byte; the summary counts all rows, and those from before."""
    whole = score(artefact, "images", "-o", f"whole.{ending}")

    first = interrupted(9, artefact, "images", "-o", f"out.{ending}")
    second = interrupted(8, artefact, "images", "-o", f"out.{ending}", "--resume")
    third = score(artefact, "images", "-o", f"out.{ending}", "--resume")

    assert (130, 130, 0) == (first.exit_code, second.exit_code, third.exit_code)
    assert first.stderr.endswith(
        f"interrupted: 9 of {FILES} files are done, and --resume goes on with the rest\n"
    )
    assert f"interrupted: 16 of {FILES} files" in second.stderr
    assert f"{FILES} files, 16 of them earlier, in " in third.stderr
    assert whole.stderr.rpartition("): ")[2] == third.stderr.rpartition("): ")[2]
    assert content(f"whole.{ending}") == content(f"out.{ending}")
    assert content(f"whole.{ending}.run.json") == content(f"out.{ending}.run.json")


def test_the_same_files_run_in_the_same_batches(
    artefact: str, folder: Path, interrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run and shards put images together as one run does: last bits depend on it."""
    batches: dict[str, list[list[float]]] = {}
    inference = ArtifactSession.run

    def noted(self: ArtifactSession, images: Any) -> Any:
        batches[name].append([float(image.mean()) for image in images])
        return inference(self, images)

    monkeypatch.setattr(ArtifactSession, "run", noted)
    monkeypatch.setattr("edge_ood.runtime.probe.run_probe_once", lambda scorer: None)
    for name, arguments in (
        ("whole", ()),
        ("resumed", ("--resume",)),
        ("1", ("--shard", "1/3")),
        ("2", ("--shard", "2/3")),
        ("3", ("--shard", "3/3")),
    ):
        batches[name] = []
        if name == "resumed":
            interrupted(13, artefact, "images", "-o", "resumed.csv", "--threads", 1)
            batches[name] = batches[name][:3]
        score(artefact, "images", "-o", f"{name}.csv", "--threads", 1, *arguments)

    whole = batches.pop("whole")
    assert whole == batches.pop("resumed")
    assert sorted(whole) == sorted(batch for shard in batches.values() for batch in shard)


def test_a_finished_run_has_nothing_to_do(artefact: str, folder: Path) -> None:
    """A scheduler may start it again; the exit code is the same."""
    options = (artefact, "images", "-o", "out.csv", "--fail-on-ood", "--resume")
    first = score(*options)
    before = content_and_time(Path("out.csv"))
    second = score(*options)

    assert (3, 3) == (first.exit_code, second.exit_code)
    fared = first.stderr.rpartition("): ")[2]
    assert f"all {FILES} files were scored earlier: {fared}" in second.stderr
    assert before == content_and_time(Path("out.csv"))


def content_and_time(path: Path) -> tuple[bytes, int, int]:
    """What is in a file, which file it is, and when it was written; reading it changes nothing."""
    found = path.stat()
    return path.read_bytes(), found.st_ino, found.st_mtime_ns


def test_flagged_rows_from_before_count(artefact: str, folder: Path, interrupted: Any) -> None:
    """--fail-on-ood speaks of the table, not of the last process."""
    Image.new("RGB", (16, 16), (9, 9, 9)).save("images/00.png")
    Path("images/grey.png").unlink()
    interrupted(20, artefact, "images", "-o", "out.csv")

    assert 3 == score(artefact, "images", "-o", "out.csv", "--resume", "--fail-on-ood").exit_code


def test_without_resume_the_hint_names_it(artefact: str, folder: Path, interrupted: Any) -> None:
    """An unfinished run is neither lost nor gone on with by accident."""
    interrupted(9, artefact, "images", "-o", "out.csv")

    result = score(artefact, "images", "-o", "out.csv")

    assert 1 == result.exit_code
    assert "error: 'out.csv' was begun and is not finished\n" in result.stderr
    assert "hint: --resume goes on, --force starts again\n" in result.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--scores", "energy"], "--scores was energy,msp,uniform_ce and is energy"),
        (["--batch-size", "8"], "--batch-size was 4 and is 8"),
        (["--format", "jsonl"], "--format was csv and is jsonl"),
        (["--shard", "1/2"], "--shard was 1/1 and is 1/2"),
        (["images"], "the paths was ['images'] and is ['images', 'images']"),
    ],
)
def test_other_options_are_an_error(
    artefact: str, folder: Path, interrupted: Any, options: list[str], named: str
) -> None:
    """One line that names what differs; the rows stay."""
    interrupted(9, artefact, "images", "-o", "out.csv")
    before = content("out.csv.part")

    result = run(
        "score", artefact, "images", "-o", "out.csv", "--resume", "--batch-size", 4, *options
    )

    assert 1 == result.exit_code
    assert f"error: cannot resume 'out.csv': {named}\n" in result.stderr
    assert before == content("out.csv.part")


def test_another_artefact_is_an_error(artefact: str, folder: Path, interrupted: Any) -> None:
    """By its content, under the same name."""
    shutil.copy(artefact, "x.onnx")
    interrupted(9, "x.onnx", "images", "-o", "out.csv")
    with Path("x.onnx").open("ab") as stream:
        stream.write(b"\xa2\x06\x00")  # an empty field that readers skip

    result = score("x.onnx", "images", "-o", "out.csv", "--resume")

    assert 1 == result.exit_code
    assert "error: cannot resume 'out.csv': the artefact was " in result.stderr


def test_a_list_goes_on_with_the_same_list(artefact: str, folder: Path, interrupted: Any) -> None:
    """On standard input; another list is an error."""
    listed = "".join(f"images/{path.name}\0" for path in sorted(folder.iterdir())).encode()
    score(artefact, "-", "-o", "whole.csv", stdin=listed)
    interrupted(9, artefact, "-", "-o", "out.csv", stdin=listed)

    refused = score(artefact, "-", "-o", "out.csv", "--resume", stdin=listed[:-1] + b"2\0")
    result = score(artefact, "-", "-o", "out.csv", "--resume", stdin=listed)

    assert (1, 0) == (refused.exit_code, result.exit_code)
    assert "the list was " in refused.stderr
    assert content("whole.csv") == content("out.csv")


def test_a_folder_that_changed_is_noted(artefact: str, folder: Path, interrupted: Any) -> None:
    """Each file has one row in the end."""
    interrupted(9, artefact, "images", "-o", "out.jsonl")
    Image.new("RGB", (16, 16), (9, 9, 9)).save("images/0-new.png")

    result = score(artefact, "images", "-o", "out.jsonl", "--resume")

    rows = [json.loads(line)["path"] for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    assert "note: files came or went since; new ones follow at the end\n" in result.stderr
    assert sorted(f"./images/{path.name}" for path in folder.iterdir()) == sorted(rows)


def test_standard_output_cannot_go_on(artefact: str, folder: Path) -> None:
    """--resume without a file is a slip in the command."""
    result = score(artefact, "images", "--resume")

    assert 2 == result.exit_code
    assert "-o" in result.stderr


def test_its_own_files_are_no_inputs(artefact: str, folder: Path, interrupted: Any) -> None:
    """Table, record and unfinished rows may lie among the images."""
    score(artefact, "images", "-o", "whole.parquet")
    interrupted(9, artefact, "images", "-o", "images/out.parquet")
    score(artefact, "images", "-o", "images/out.parquet", "--resume")
    assert content("whole.parquet") == content("images/out.parquet")

    score(artefact, "images", "-o", "images/out.parquet", "--force")

    assert content("whole.parquet") == content("images/out.parquet")


def test_a_bug_half_way_leaves_the_rows(
    artefact: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends a run, what it did is not lost, and the old table stands."""
    score(artefact, "images", "-o", "out.csv")
    before = content("out.csv")
    stream = Scorer.stream

    def failing(self: Scorer, *arguments: Any, **options: Any) -> Iterator[Row]:
        for index, row in enumerate(stream(self, *arguments, **options)):
            if index == 10:
                raise ZeroDivisionError
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "stream", failing)
        result = score(artefact, "images", "-o", "out.csv", "--force")

    assert isinstance(result.exception, ZeroDivisionError)
    assert before == content("out.csv")
    assert "8 of them earlier" in score(artefact, "images", "-o", "out.csv", "--resume").stderr
    assert before == content("out.csv")


def test_a_shard_on_standard_output(artefact: str, folder: Path) -> None:
    """A share of the rows, for those who collect them in their own way."""
    result = score(artefact, "images", "--shard", "2/3")

    paths = [json.loads(line)["path"] for line in result.stdout.split("\n")[:-1]]
    names = sorted(path.name for path in folder.iterdir())
    assert [f"./images/{name}" for name in (*names[4:8], *names[16:20])] == paths


@pytest.mark.parametrize("shard", ["3/2", "0/2", "half"])
def test_a_shard_that_cannot_be_is_an_error(artefact: str, folder: Path, shard: str) -> None:
    """Before any work."""
    result = score(artefact, "images", "--shard", shard)

    assert 1 == result.exit_code
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]
