"""`edge-ood score --gallery`: a page beside the table, whatever else is asked for."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.report import page
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.writer import TableWriter

pytest.importorskip("jinja2")

FILES = 24


def score(*arguments: object) -> Result:
    """Run `edge-ood score` in this process, in batches of 4."""
    return CliRunner().invoke(app, ["score", *map(str, arguments), "--batch-size", "4"])


def shown_names(name: str = "g.html") -> list[str]:
    """Names of the files with a picture, in order, without control characters."""
    html = Path(name).read_text("utf-8")
    return re.findall(r"<span>([^<]*)</span>\n</figcaption>", html)


@pytest.fixture
def no_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening the artefact is a failure."""

    def opened(*_: object, **__: object) -> None:
        pytest.fail("the artefact was opened")

    monkeypatch.setattr(Scorer, "__init__", opened)


@pytest.mark.parametrize("table", [(), ("-o", "out.csv")])
def test_a_gallery_shows_the_images_by_suspicion(
    artefact: str, folder: Path, table: tuple[str, ...]
) -> None:
    """As the table ranks them: by p-value, then by the primary score; with it or without."""
    result = score(artefact, "images", "--gallery", "g.html", *table)
    rows = [json.loads(line) for line in score(artefact, "images").stdout.splitlines()]

    scored = [row for row in rows if row["status"] == "ok"]
    scored.sort(key=lambda row: (row["pvalue"], -row["energy"]))
    names = [row["path"].removeprefix("./images/").replace("\n", "\\n") for row in scored]
    assert 0 == result.exit_code
    assert names == [name.replace("&#39;", "'") for name in shown_names()]
    assert "notes.txt" in Path("g.html").read_text("utf-8")
    assert f"the {len(names)} most suspicious images are in 'g.html'\n" in result.stderr
    assert bool(result.stdout) == (not table)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_resumed_run_has_the_same_gallery(
    artefact: str, folder: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Images that an earlier part scored count as if they were scored now."""
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    score(artefact, "images", "-o", f"whole.{ending}", "--gallery", "whole.html")
    write, rows = TableWriter.write, iter(range(FILES))

    def write_some(self: TableWriter, row: object) -> None:
        if next(rows) == 14:
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(TableWriter, "write", write_some)
        first = score(artefact, "images", "-o", f"out.{ending}", "--gallery", "g.html")
    left_nothing = not Path("g.html").exists()
    second = score(artefact, "images", "-o", f"out.{ending}", "--gallery", "g.html", "--resume")

    assert (130, 0) == (first.exit_code, second.exit_code)
    assert left_nothing
    assert Path("whole.html").read_bytes() == Path("g.html").read_bytes()


def test_a_finished_table_gets_a_gallery(
    artefact: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without scoring again; and the same command once more does no harm."""
    score(artefact, "images", "-o", "out.csv")
    expected = score(artefact, "images", "--gallery", "expected.html")
    monkeypatch.setattr(Scorer, "stream", lambda *_, **__: pytest.fail("scored again"))

    for _ in range(2):
        again = score(artefact, "images", "-o", "out.csv", "--resume", "--gallery", "g.html")
        assert 0 == again.exit_code

    assert 0 == expected.exit_code
    assert Path("expected.html").read_bytes() == Path("g.html").read_bytes()


def test_a_shard_has_a_gallery_of_its_own(artefact: str, folder: Path) -> None:
    """Each of its images once, and no others; the merged table has that of the whole run."""
    for index in (1, 2):
        shard = ("--shard", f"{index}/2", "-o", f"{index}.csv")
        assert 0 == score(artefact, "images", *shard, "--gallery", f"{index}.html").exit_code
    score(artefact, "images", "--gallery", "g.html")
    CliRunner().invoke(app, ["merge", "2.csv", "1.csv", "-o", "out.csv"])
    score(artefact, "images", "-o", "out.csv", "--resume", "--gallery", "merged.html")

    assert Path("g.html").read_bytes() == Path("merged.html").read_bytes()
    parts = [shown_names(f"{index}.html") for index in (1, 2)]
    assert sorted(shown_names()) == sorted(parts[0] + parts[1])
    assert min(map(len, parts)) > 0


def test_the_size_is_a_limit(artefact: str, folder: Path) -> None:
    """Of images; those that are left out are counted."""
    score(artefact, "images", "--gallery", "all.html")
    result = score(artefact, "images", "--gallery", "g.html", "--gallery-size", 3)

    assert shown_names("all.html")[:3] == shown_names()
    assert "the 3 most suspicious images are in" in result.stderr
    assert f"The 3 most suspicious of {FILES - 1} scored" in Path("g.html").read_text("utf-8")


def test_a_gallery_does_not_change_the_exit_status(artefact: str, folder: Path) -> None:
    """--fail-on-ood ends with 3 once the page is there."""
    result = score(artefact, "images/grey.png", "--gallery", "g.html", "--fail-on-ood")

    assert 3 == result.exit_code
    assert ["grey.png"] == shown_names()


def test_names_that_are_no_text_keep_their_pictures(artefact: str, folder: Path) -> None:
    """In a new run and in one that goes on."""
    name = os.fsdecode(b"images/caf\xe9.png")
    Image.new("RGB", (16, 16), (200, 9, 9)).save(name)
    score(artefact, name, "images/grey.png", "-o", "out.csv", "--gallery", "one.html")
    score(artefact, name, "images/grey.png", "-o", "out.csv", "--resume", "--gallery", "two.html")

    text = Path("one.html").read_text("utf-8")
    assert 2 == text.count("<img ")
    assert text == Path("two.html").read_text("utf-8")


def test_a_gallery_in_the_folder_is_no_input(artefact: str, folder: Path) -> None:
    """The page is written there, and not scored by the next run."""
    first = score(artefact, "images", "--gallery", "images/g.html")
    second = score(artefact, "images", "--gallery", "images/g.html", "--force")

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert first.stdout == second.stdout
    assert "g.html" not in second.stdout


def test_an_existing_page_needs_force(artefact: str, folder: Path, no_scoring: None) -> None:
    """Whoever made it; nothing is scored before."""
    Path("g.html").write_text("mine")

    result = score(artefact, "images", "--gallery", "g.html")

    assert 1 == result.exit_code
    assert "error: 'g.html' exists\nhint: choose another name, or pass --force\n" == result.stderr
    assert "mine" == Path("g.html").read_text()


def test_a_resumed_run_replaces_nothing_but_its_page(
    artefact: str, folder: Path, no_scoring: None
) -> None:
    """A file that is no page of ours stays."""
    Path("g.html").write_text("mine")

    result = score(artefact, "images", "-o", "out.csv", "--resume", "--gallery", "g.html")

    assert 1 == result.exit_code
    assert "'g.html' exists" in result.stderr
    assert "mine" == Path("g.html").read_text()


@pytest.mark.parametrize("name", ["out.csv", "model.onnx", "out.csv.run.json"])
def test_a_gallery_replaces_no_other_file_of_the_run(
    artefact: str, folder: Path, no_scoring: None, name: str
) -> None:
    """Neither the artefact nor the table, even with --force."""
    Path("model.onnx").write_bytes(Path(artefact).read_bytes())

    result = score("model.onnx", "images", "-o", "out.csv", "--gallery", name, "--force")

    assert 2 == result.exit_code
    assert Path("model.onnx").read_bytes() == Path(artefact).read_bytes()


@pytest.mark.parametrize("name", ["/proc/g.html", "images", "images/notes.txt/g.html"])
def test_a_page_that_cannot_be_written_is_an_error(
    artefact: str, folder: Path, no_scoring: None, name: str
) -> None:
    """Before any image is scored, in one line with a hint."""
    result = score(artefact, "images", "--gallery", name)

    assert 1 == result.exit_code
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]


def test_a_missing_library_is_said_first(
    artefact: str, folder: Path, no_scoring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that has it."""
    page.environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)

    result = score(artefact, "images", "--gallery", "g.html")

    assert 1 == result.exit_code
    assert "error: a page needs jinja2, which is not installed\n" in result.stderr
    assert "hint: pip install 'edge-ood[report]'\n" in result.stderr
