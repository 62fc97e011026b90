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
    scores = ["energy", "msp", "uniform_ce"]
    assert [[score] for score in scores for _ in range(2)] + [scores, scores] == [
        added["scores"] for added in document["added"]
    ]
    assert {"scores", "batch_size", "added_us", "network_us"} == document["added"][0].keys()
    assert "cpu" == document["device"]["provider"]


def test_every_score_has_a_row_the_one_that_decides_included(colour_artifact: Path) -> None:
    """Under the network alone, and above all together, at batches of one and of the best size."""
    report = run(colour_artifact).stdout

    table = next(block for block in report.split("\n\n") if "each score alone adds" in block)
    title, headings, _, *rows = table.splitlines()
    batch_size = re.search(r"--batch-size (\d+) --threads", report)
    assert batch_size is not None
    assert title.endswith("microseconds an image")
    assert ["score", "batch of 1", f"batch of {batch_size[1]}"] == re.split("  +", headings)
    cells = [re.split("  +", row) for row in rows]
    expected = ["(network alone)", "energy", "msp", "uniform_ce", "all together"]
    assert expected == [name for name, *_ in cells]
    assert all(float(cell) >= 0 for _, *figures in cells for cell in figures)


def test_a_folder_that_is_not_there_is_an_error(colour_artifact: Path) -> None:
    """As everywhere."""
    result = run(colour_artifact, "nowhere")

    assert 1 == result.exit_code
    assert "'nowhere'" in result.stderr
