"""`edge-ood evaluate --report --figures`: the page and the figures of a real run."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app


def run(*words: str | Path) -> Result:
    """Run `edge-ood evaluate`."""
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def outputs(
    colour_artifact: Path, colours: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What one run with every output writes."""
    folder = tmp_path_factory.mktemp("outputs")
    files = {name: folder / name for name in ("a.json", "a.html", "figures")}
    sets = ["--near", "shuffled=speckled:count=12,seed=3"]
    sets += ["--far", f"seen={colours / 'calibration'}", "--shifted", f"again={colours / 'train'}"]
    options = ["--json", files["a.json"], "--report", files["a.html"]]
    options += ["--figures", files["figures"], "--allow-seen", "--corrupted", "blur,noise:count=5"]
    options += ["--bootstrap", "20"]
    result = run(colour_artifact, "--id", colours / "test", *sets, *options)
    assert 0 == result.exit_code, result.output
    return files


def test_every_number_on_the_page_agrees_with_json(
    outputs: dict[str, Path],
    check_page: Callable[[str], None],
    wrong_fields: Callable[[str, Any], list[tuple[str, str]]],
) -> None:
    """The page of a run and the document of the same run say the same."""
    html = outputs["a.html"].read_text("utf-8")

    check_page(html)
    assert [] == wrong_fields(html, json.loads(outputs["a.json"].read_text("utf-8")))


def test_thumbnails_of_files_and_of_synthetic_images(outputs: dict[str, Path]) -> None:
    """Every example has its picture, also those that are made anew."""
    html = outputs["a.html"].read_text("utf-8")

    assert html.count("<img") >= 36
    assert "not readable" not in html


def test_figures_are_named_after_what_they_show(outputs: dict[str, Path]) -> None:
    """One PNG and one SVG each, by artefact, set and head."""
    names = {path.name for path in outputs["figures"].iterdir()}

    assert {"colours-seen-energy-scores.png", "colours-shuffled-roc.svg"} <= names
    assert {n.removesuffix(".png") for n in names if n.endswith("png")} == {
        n.removesuffix(".svg") for n in names if n.endswith("svg")
    }


def test_the_command_on_the_page_repeats_the_run(outputs: dict[str, Path], tmp_path: Path) -> None:
    """What the page says was typed gives the same document."""
    html = outputs["a.html"].read_text("utf-8")
    command = html.split("<code>edge-ood evaluate ")[1].split("</code>")[0].replace("\\\n", "")

    result = run(*shlex.split(command), "--json", tmp_path / "b.json")

    assert 0 == result.exit_code, result.output
    before, after = (
        json.loads(path.read_text("utf-8"))["models"][0]
        for path in (outputs["a.json"], tmp_path / "b.json")
    )
    assert before["ood"] == after["ood"]
    assert before["corruptions"] == after["corruptions"]
    assert before["shifted"] == after["shifted"]
    assert ["again"] == list(before["shifted"])


@pytest.mark.parametrize("option", ["--report", "--figures"])
def test_what_exists_is_refused_before_any_work(
    option: str, colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """A page, and a folder with something in it, stay without `--force`."""
    target = tmp_path / "x"
    if option == "--figures":
        target.mkdir()
        (target / "precious").write_text("kept")
    else:
        target.write_text("kept")

    result = run(colour_artifact, "--id", colours / "test", option, target)

    assert 1 == result.exit_code
    assert "--force" in result.output
    assert "scoring" not in result.output


def test_two_outputs_are_not_one_file(colour_artifact: Path, colours: Path, tmp_path: Path) -> None:
    """A page cannot overwrite the document of its own run."""
    both = ["--json", tmp_path / "x", "--report", tmp_path / "x"]
    result = run(colour_artifact, "--id", colours / "test", *both)

    assert 1 == result.exit_code
    assert "two outputs" in result.output
