"""`edge-ood score`: data on standard output or in a file, talk on standard error."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from edge_ood.artifact.contract import columns
from edge_ood.cli.app import app
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer

EDGE_OOD = (sys.executable, "-c", "from edge_ood.cli import main; main()")
LONG_LIST = 30_000  # images; seconds of work, so that there is time to interrupt


@pytest.fixture
def folder(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `images`: ID ones, a grey one and one that is none."""
    images = tmp_path / "images"
    shutil.copytree(colours / "test" / "red apple", images / "red apple")
    Image.new("RGB", (16, 16), (9, 9, 9)).save(images / "grey.png")
    (images / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return images


def run(*arguments: object, stdin: bytes = b"") -> Result:
    """Run `edge-ood score` in this process."""
    return CliRunner().invoke(app, ["score", *map(str, arguments)], input=stdin)


def json_rows(text: str) -> list[dict[str, Any]]:
    """The rows of a JSON Lines table."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_a_folder_becomes_one_row_per_file(artefact: str, folder: Path) -> None:
    """Every file below the folder, in a stable order, whatever it is."""
    result = run(artefact, "images", "-o", "out.csv")

    rows = csv_rows(Path("out.csv"))
    assert 0 == result.exit_code
    assert "" == result.stdout
    assert columns(Scorer(artefact).heads) == list(rows[0])
    assert [
        ("./images/grey.png", "ok"),
        ("./images/notes.txt", "not-an-image"),
        *((f"./images/red apple/0{i}.png", "ok") for i in range(6)),
    ] == [(row["path"], row["status"]) for row in rows]
    assert {"red apple"} == {row["label"] for row in rows[2:]}
    assert ["true", "", *["false"] * 6] == [row["is_ood"] for row in rows]


def test_rows_hold_what_the_scorer_says(artefact: str, folder: Path) -> None:
    """The table has the numbers of the Python interface, to the last float32 digit."""
    paths = find_images(folder)
    expected = Scorer(artefact)(paths)

    rows = json_rows(run(artefact, *paths).stdout)

    assert [str(path) for path in paths] == [row["path"] for row in rows]
    assert expected.label == [row["label"] for row in rows]
    assert expected.pvalue.tolist() == [float(np.float32(row["pvalue"])) for row in rows]
    for head, scores in expected.scores.items():
        assert scores.tolist() == [float(np.float32(row[head])) for row in rows]


def test_a_pipe_gets_json_lines_and_nothing_else(artefact: str, folder: Path) -> None:
    """Progress and summary go to standard error."""
    result = run(artefact, "images")

    assert 8 == len(json_rows(result.stdout))
    assert "8 files in" in result.stderr
    assert "1 flagged as out-of-distribution, 1 not-an-image" in result.stderr


def test_a_format_can_be_forced(artefact: str, folder: Path) -> None:
    """CSV on standard output, or under a name of another ending."""
    on_stdout = run(artefact, "images", "--format", "csv")
    run(artefact, "images", "--format", "csv", "-o", "table.txt")

    assert on_stdout.stdout == Path("table.txt").read_text("utf-8")
    assert 8 == len(csv_rows(Path("table.txt")))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_ending_chooses_the_format(artefact: str, folder: Path, ending: str) -> None:
    """All formats have all rows."""
    import pyarrow.parquet as pq

    result = run(artefact, "images", "-o", f"out.{ending}")

    readers: dict[str, Callable[[Path], list[Any]]] = {
        "csv": csv_rows,
        "jsonl": lambda path: json_rows(path.read_text("utf-8")),
        "parquet": lambda path: pq.read_table(path).to_pylist(),
    }
    assert 0 == result.exit_code
    assert 8 == len(readers[ending](Path(f"out.{ending}")))


def test_files_and_folders_come_in_the_order_given(artefact: str, folder: Path) -> None:
    """A file stands where it was named, a folder for its files."""
    result = run(artefact, "images/red apple/03.png", "images", "images/grey.png")

    paths = [row["path"] for row in json_rows(result.stdout)]
    assert 10 == len(paths)
    assert "./images/red apple/03.png" == paths[0]
    assert "./images/grey.png" == paths[1] == paths[9]


def test_names_of_any_kind_are_scored(artefact: str, folder: Path) -> None:
    """Spaces, quotes, line breaks, other letters and stray bytes are nothing special."""
    names = [
        b"a b.png",
        b'it\'s "it".png',
        b"line\nbreak.png",
        "日本語.png".encode(),
        b"caf\xe9.png",
    ]
    odd = Path("odd")
    odd.mkdir()
    for name in names:
        shutil.copy(folder / "grey.png", odd / os.fsdecode(name))

    rows = json_rows(run(artefact, odd).stdout)

    assert ["ok"] * 5 == [row["status"] for row in rows]
    assert {
        "./odd/a b.png",
        './odd/it\'s "it".png',
        "./odd/line\nbreak.png",
        "./odd/日本語.png",
        r"./odd/caf\xe9.png",
    } == {row["path"] for row in rows}


def test_a_list_on_standard_input(artefact: str, folder: Path) -> None:
    """One name a line; a name that leads nowhere is a row, because lists go stale."""
    listed = b"images/grey.png\nmissing.png\n\nimages/red apple\n"

    rows = json_rows(run(artefact, "-", stdin=listed).stdout)

    assert ["ok", "unreadable", *["ok"] * 6] == [row["status"] for row in rows]
    assert "cannot read 'missing.png': No such file or directory" == rows[1]["error"]


def test_a_list_ended_by_nul_may_hold_line_breaks(artefact: str, folder: Path) -> None:
    """As `find -print0` writes it; stray bytes are taken as they come."""
    names = [b"line\nbreak.png", b"caf\xe9.png"]
    for name in names:
        shutil.copy(folder / "grey.png", os.fsdecode(name))

    rows = json_rows(run(artefact, "-", stdin=b"".join(n + b"\0" for n in names)).stdout)

    assert ["./line\nbreak.png", r"./caf\xe9.png"] == [row["path"] for row in rows]
    assert ["ok", "ok"] == [row["status"] for row in rows]


def test_a_named_file_that_is_missing_is_an_error(artefact: str, folder: Path) -> None:
    """A slip on the command line is better found before the work than after it."""
    result = run(artefact, "images", "imges", "-o", "out.csv")

    assert 1 == result.exit_code
    assert "error: no file or folder 'imges'\nhint: check the path\n" == result.stderr
    assert not Path("out.csv").exists()


def test_nothing_to_score_is_an_error(artefact: str, folder: Path) -> None:
    """An empty folder and an empty list are slips, too."""
    Path("empty").mkdir()

    for result in (run(artefact, "empty"), run(artefact, "-")):
        assert 1 == result.exit_code
        assert result.stderr.startswith("error: no files ")
        assert "hint: " in result.stderr


def test_the_output_is_no_input(artefact: str, folder: Path) -> None:
    """Scoring a folder into itself gives the same table each time, without its own files."""
    first = run(artefact, "images", "-o", "images/out.csv")
    before = Path("images/out.csv").read_bytes()
    second = run(artefact, "images", "-o", "images/out.csv", "--force")

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert before == Path("images/out.csv").read_bytes()
    assert b"out.csv" not in before
    assert b".part" not in before


def test_an_existing_output_needs_force(artefact: str, folder: Path) -> None:
    """The hint names the option, and the file stays."""
    Path("out.csv").write_text("old")

    refused = run(artefact, "images", "-o", "out.csv")

    assert 1 == refused.exit_code
    assert "error: 'out.csv' exists\n" in refused.stderr
    assert "--force" in refused.stderr
    assert "old" == Path("out.csv").read_text()
    assert 0 == run(artefact, "images", "-o", "out.csv", "--force").exit_code


@pytest.mark.parametrize("output", ["/proc/out.csv", "images/notes.txt/out.csv", "/dev/null"])
def test_an_output_that_cannot_be_written_is_an_error(
    artefact: str, folder: Path, output: str
) -> None:
    """Before any image is scored, in one line with a hint."""
    result = run(artefact, "images", "-o", output, "--format", "csv", "--force")

    assert 1 == result.exit_code
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]


@pytest.mark.parametrize(
    "options", [["--format", "parquet"], ["--format", "excel"], ["-o", "out.xlsx"]]
)
def test_a_format_that_cannot_be_written_is_an_error(
    artefact: str, folder: Path, options: list[str]
) -> None:
    """Parquet is no text for a pipe, and other formats do not exist."""
    result = run(artefact, "images", *options)

    assert 1 == result.exit_code
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]


@pytest.mark.parametrize(("image", "expected"), [("grey.png", 3), ("red apple", 0)])
def test_fail_on_ood_is_exit_code_3(artefact: str, folder: Path, image: str, expected: int) -> None:
    """A flagged image fails a pipeline that asks for it; the table is complete all the same."""
    result = run(artefact, folder / image, "--fail-on-ood", "-o", "out.csv")

    assert expected == result.exit_code
    assert csv_rows(Path("out.csv"))
    assert 0 == run(artefact, folder / image).exit_code


def test_an_unreadable_file_is_not_out_of_distribution(artefact: str, folder: Path) -> None:
    """Nothing is known of it, so --fail-on-ood has nothing to say; alone it is no image."""
    assert 1 == run(artefact, folder / "notes.txt", "--fail-on-ood").exit_code


def test_a_device_that_is_off_is_warned_about(artefact: str, folder: Path, tmp_path: Path) -> None:
    """One line names the heads, the likely cause and what helps; scoring goes on."""
    model = onnx.load(artefact)
    (tensor,) = [t for t in model.graph.initializer if t.name == "classifier/linear"]
    changed = numpy_helper.to_array(tensor) * np.float32(1.1)
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, "off.onnx")

    result = run("off.onnx", "images")

    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning")]
    assert 0 == result.exit_code
    assert 1 == len(warnings)
    assert "energy, msp, uniform_ce" in warnings[0]
    assert "so the file has changed since; 'edge-ood check' shows by how much" in warnings[0]
    assert "; restore the file, or export it again" in warnings[0]
    assert "warning" not in run(artefact, "images").stderr
