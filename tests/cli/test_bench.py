"""`edge-ood bench`: tables or JSON, and a suggestion that `edge-ood score` takes."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.runtime import benchmark as module


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few runs as possible."""
    monkeypatch.setattr(module, "_TOTAL_S", 0.01)


def run(*arguments: object) -> Result:
    """Run `edge-ood bench` in this process."""
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_suggestions_can_be_pasted(colour_artifact: Path, colours: Path) -> None:
    """Both command lines of the report run as they stand there."""
    result = run(colour_artifact, colours / "test" / "red apple", "--provider", "cpu")

    suggested = re.findall(r"^  edge-ood (score .*)$", result.stdout, re.MULTILINE)
    assert 0 == result.exit_code
    assert 2 == len(suggested)
    for line in suggested:
        scored = CliRunner().invoke(app, shlex.split(line))
        assert (0, 6) == (scored.exit_code, scored.stdout.count("\n"))


def test_progress_goes_to_standard_error(colour_artifact: Path) -> None:
    """Standard output holds the report alone; without images, built-in ones are decoded."""
    result = run(colour_artifact)

    assert "measuring decoding" in result.stderr
    assert "measuring" not in result.stdout
    assert "4 built-in pictures of 512 x 384" in result.stdout


def test_json_is_the_whole_report(colour_artifact: Path) -> None:
    """One document, for machines."""
    document = json.loads(run(colour_artifact, "--json").stdout)

    assert {"batch_size", "threads", "images_per_second"} == document["fastest"].keys()
    assert {"msp", "uniform_ce"} == document["saved_ms"].keys()
    assert "cpu" == document["device"]["provider"]


def test_a_folder_that_is_not_there_is_an_error(colour_artifact: Path) -> None:
    """As everywhere."""
    result = run(colour_artifact, "nowhere")

    assert 1 == result.exit_code
    assert "'nowhere'" in result.stderr
