"""`edge-ood score`: how the work is shared out changes when rows come, never what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.runtime import artifact_session

PEAK = """
import re, sys
from pathlib import Path
from edge_ood.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def run(*arguments: object) -> Result:
    """Run `edge-ood score` in this process, as JSON Lines."""
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def test_threads_do_not_change_the_table(colour_artifact: Path, colours: Path) -> None:
    """One core and four give the same bytes in the same order."""
    images = colours / "train"

    tables = {run(colour_artifact, images, "--threads", n).stdout for n in (1, 4)}

    assert {run(colour_artifact, images).stdout} == tables
    assert 60 == tables.pop().count("\n")


def test_a_single_file_gets_all_threads(
    colour_artifact: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is there to keep the other cores busy; many files take one each."""
    given: list[int | None] = []
    open_session = artifact_session.open_session

    def keep(model: bytes, *, threads: int | None, **options: Any) -> Any:
        given.append(threads)
        return open_session(model, threads=threads, **options)

    monkeypatch.setattr(artifact_session, "open_session", keep)
    image = min((colours / "test").rglob("*.png"))
    results = [run(colour_artifact, image), run(colour_artifact, image, image)]

    assert [0, 0] == [result.exit_code for result in results]
    assert [None, 1] == given


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


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_folder(
    colour_artifact: Path, colours: Path, tmp_path: Path, ending: str
) -> None:
    """A hundred thousand files in one folder need at most a tenth more than a thousand."""
    originals = sorted((colours / "test" / "red apple").iterdir())
    peaks = {}
    for count in (1000, 100_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for index in range(count):
            os.link(originals[index % len(originals)], folder / f"photograph {index:06}.png")
        output = tmp_path / f"{count}.{ending}"
        arguments = ("score", colour_artifact, folder, "-o", output)
        done = subprocess.run(
            [sys.executable, "-Ic", PEAK, *arguments], check=True, capture_output=True, text=True
        )
        peaks[count] = int(done.stdout)

    assert peaks[100_000] <= 1.1 * peaks[1000], peaks
