"""`edge-ood score`: how the work is shared out changes when rows come, never what they say."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app


def run(*arguments: object) -> Result:
    """Run `edge-ood score` in this process, as JSON Lines."""
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def test_threads_do_not_change_the_table(colour_artifact: Path, colours: Path) -> None:
    """One core and four give the same bytes in the same order."""
    images = colours / "train"

    tables = {run(colour_artifact, images, "--threads", n).stdout for n in (1, 4)}

    assert {run(colour_artifact, images).stdout} == tables
    assert 60 == tables.pop().count("\n")


@pytest.mark.parametrize("option", ["--threads", "--batch-size"])
def test_there_is_at_least_one(colour_artifact: Path, colours: Path, option: str) -> None:
    """Zero is a slip of the command line."""
    result = run(colour_artifact, colours, option, 0)

    assert 2 == result.exit_code
    assert option in result.stderr


def test_one_image_at_a_time_reports_latency(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """Percentiles on standard error, of the images alone; rows as ever."""
    (broken := tmp_path / "broken.png").write_bytes(b"no image")

    alone = run(colour_artifact, colours / "test", "--batch-size", 1)
    nothing = run(colour_artifact, broken, "--batch-size", 1)

    pattern = r"latency, file to result: p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms$"
    assert re.search(pattern, alone.stderr, re.MULTILINE)
    assert 18 == alone.stdout.count("\n")
    assert "latency" not in nothing.stderr + run(colour_artifact, colours / "test").stderr
