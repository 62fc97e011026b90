"""`edge-ood explain`: what it prints, the page, and what it refuses."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import edge_ood
from edge_ood.cli.app import app


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A picture of no colour that the artefact has."""
    path = tmp_path / "odd <b>.png"
    Image.new("RGB", (24, 16), (9, 9, 9)).save(path)
    return path


def explain(*words: Any) -> Any:
    """The outcome of the command."""
    return CliRunner().invoke(app, ["explain", *map(str, words)])


def refusal(*words: Any, exit_code: int = 1) -> str:
    """The error of a command that fails with an error and a hint."""
    result = explain(*words)
    assert exit_code == result.exit_code, result.output
    error, hint = result.stderr.splitlines()
    assert hint.startswith("hint: ")
    return error.removeprefix("error: ")


def test_it_prints_what_python_prints(artefact: str, image: Path) -> None:
    """The decision first; nothing is written."""
    found = edge_ood.explain(artefact, image, provider="cpu")

    result = explain(artefact, image, "--provider", "cpu")

    assert (0, "") == (result.exit_code, result.stderr)
    assert f"{found}\n" == result.stdout
    assert result.stdout.startswith(f"{image}: flagged: p ")
    assert [image] == list(image.parent.iterdir())


def test_scores_are_those_of_the_score_command(artefact: str, image: Path) -> None:
    """To the digits that are shown; the picture is 24 px wide and 16 high."""
    scores = edge_ood.Scorer(artefact, provider="cpu")(image)
    rows = [line.split() for line in explain(artefact, image).stdout.splitlines()]

    assert ["energy", "*"] in [row[:2] for row in rows]
    for head, values in scores.scores.items():
        (row,) = (r for r in rows if r[:1] == [head] and len(r) > 4)
        assert f"{values[0]:.4g}" == row[-4]
        assert f"{scores.pvalues[head][0]:.4f}" == row[-3]
        assert ("flagged" if scores.decisions[head][0] else "accepted") == row[-1]


def test_the_page_is_written_and_named(artefact: str, image: Path, tmp_path: Path) -> None:
    """It says what the terminal says; names of files are escaped."""
    pytest.importorskip("jinja2")
    page = tmp_path / "new" / "page.html"

    result = explain(artefact, image, "-o", page)

    assert 0 == result.exit_code
    assert f"the page is '{page}'\n" == result.stderr
    html = page.read_text("utf-8")
    assert "<title>Why this image was flagged: odd &lt;b&gt;.png</title>" in html
    assert 3 == html.count("<img src=")


def test_a_page_that_is_there_is_kept_unless_forced(
    artefact: str, image: Path, tmp_path: Path
) -> None:
    """As all outputs are."""
    pytest.importorskip("jinja2")
    page = tmp_path / "page.html"
    page.write_text("mine")

    assert f"'{page}' exists" == refusal(artefact, image, "-o", page)
    assert "mine" == page.read_text()
    assert 0 == explain(artefact, image, "-o", page, "--force").exit_code
    assert "mine" != page.read_text("utf-8")


def test_a_page_never_replaces_the_image(artefact: str, image: Path, tmp_path: Path) -> None:
    """Nor the artefact, by whatever name."""
    pytest.importorskip("jinja2")
    copies = [tmp_path / "image.html", tmp_path / "file.html"]
    for source, copy in zip((image, artefact), copies, strict=True):
        shutil.copy(source, copy)
    before = [copy.read_bytes() for copy in copies]

    for copy in copies:
        error = refusal(copies[1], copies[0], "-o", copy, "--force", exit_code=2)
        assert f"the page '{copy}' is to replace what it explains" == error

    assert before == [copy.read_bytes() for copy in copies]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "cannot read '{}': No such file or directory"),
        ("notes.txt", "'{}' is not an image"),
        ("folder", "'{}' is a folder, expected one image"),
        ("pipe.png", "cannot read '{}': not a regular file"),
    ],
)
def test_what_is_no_image_is_one_line(
    name: str, message: str, artefact: str, tmp_path: Path
) -> None:
    """With a hint, and at once."""
    path = tmp_path / name
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.png")

    assert message.format(path) == refusal(artefact, path)


def test_the_page_must_be_one(artefact: str, image: Path, tmp_path: Path) -> None:
    """Its name says so."""
    pytest.importorskip("jinja2")
    path = tmp_path / "page.pdf"

    error = refusal(artefact, image, "-o", path)

    assert f"'{path}' is to be a page, and does not end in .html" == error


def test_one_image_at_a_time(artefact: str, image: Path) -> None:
    """Two are words too many."""
    assert "got unexpected extra argument" in refusal(artefact, image, image, exit_code=2)


def test_no_artefact_explains_nothing(image: Path) -> None:
    """Before the image is looked at."""
    assert "missing.onnx" in refusal("missing.onnx", image)
