"""`edge-ood score` as a process, killed again and again and restarted with --resume."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.tables.run_record import read_record
from edge_ood.tables.unfinished_table import unfinished_path
from edge_ood.tables.writer import open_table

FILES = 400
SMALL_STEPS = """
import os, signal, sys, threading, time
from pathlib import Path
from edge_ood.tables import text_table, writer

writer.SAVE_EVERY_S = 0.005
ROW_S = 0.0005  # slow enough for saves, and for the timer's thread, before the last row
moment, where, delay_s = int(sys.argv.pop()), sys.argv.pop(), float(sys.argv.pop())
write_row, write_text = writer.TableWriter.write, text_table._write
due = threading.Event()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def counting(self, row):
    # Files are named by their place in the order.
    if int(row.path.name[:4]) >= moment and not due.is_set():
        due.set()
        if where == "anywhere":
            threading.Timer(delay_s, die).start()
    time.sleep(ROW_S)
    write_row(self, row)


def half(write, file, content):
    if where == "in a write" and due.is_set() and len(content) > 1:
        write(file, content[: len(content) // 2])
        die()
    return write(file, content)


def write_bytes(path, content):
    with path.open("wb", buffering=0) as file:
        half(lambda file, content: file.write(content), file, memoryview(content))


writer.TableWriter.write = counting
text_table._write = lambda file, content: half(write_text, file, content)
Path.write_bytes = write_bytes
from edge_ood.cli import main
main()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, and a few files that are no images."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(5)
    for index in range(FILES):
        pixels = generator.integers(0, 255, (16, 16, 3), np.uint8)
        path = folder / f'{index:04} "x"\n.png'
        Image.fromarray(pixels).save(path)
        if index % 50 == 7:
            path.write_bytes(b"\x89PNG half")
    return folder


def score(
    artefact: Path, images: Path, output: Path, moment: int, where: str, delay_s: float
) -> int:
    """Run until the moment, a place in the order of files; returns the exit code."""
    options = ["score", artefact, images, "-o", output, "--resume", "--provider", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", SMALL_STEPS, *options, str(delay_s), where, str(moment)],
        capture_output=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def content(path: Path) -> dict[str, bytes]:
    """A file, or all files of a folder."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {part.name: part.read_bytes() for part in path.iterdir()}


def saved_rows(output: Path) -> int:
    """Whole rows of the unfinished table."""
    folder = unfinished_path(output)
    record = read_record(folder / "run.json")
    return sum(1 for _ in open_table(folder / output.name, record).saved())


def random_moments(moments: int, writes: int, seed: int) -> list[tuple[int, str]]:
    """Places in the order of files, ascending, each anywhere in the code or in a write."""
    places = random.Random(seed).sample(range(FILES // 20, FILES * 19 // 20 - 8), moments + writes)
    kinds = ["in a write"] * writes + ["anywhere"] * moments
    random.Random(seed).shuffle(kinds)
    return list(zip(sorted(places), kinds, strict=True))


def check_kills(
    artefact: Path, images: Path, folder: Path, ending: str, kills: list[tuple[int, str]]
) -> list[float]:
    """The table is that of a run without any kill; returns the share of rows at each."""
    whole, output = (folder / f"{name}.{ending}" for name in ("whole", "out"))
    assert 0 == score(artefact, images, whole, 2 * FILES, "nowhere", 0)
    delays = random.Random(1)

    shares = []
    for moment, where in kills:
        assert -signal.SIGKILL == score(
            artefact, images, output, moment, where, delays.uniform(0, 0.004)
        )
        assert not output.exists()
        shares.append(saved_rows(output) / FILES)
    assert 0 == score(artefact, images, output, 2 * FILES, "nowhere", 0)

    assert content(whole) == content(output)
    return shares


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_two_kills_lose_nothing(
    colour_artifact: Path, images: Path, tmp_path: Path, ending: str
) -> None:
    """One anywhere, one in the middle of a write: no row lost, doubled or torn."""
    check_kills(colour_artifact, images, tmp_path, ending, random_moments(1, 1, seed=2))


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_twenty_kills_lose_nothing(
    colour_artifact: Path, images: Path, tmp_path: Path, ending: str
) -> None:
    """15 anywhere and 5 in the middle of a write, 15 between 5 % and 95 % of the rows."""
    kills = random_moments(15, 5, seed=3)

    shares = check_kills(colour_artifact, images, tmp_path, ending, kills)

    assert 15 <= sum(0.05 <= share <= 0.95 for share in shares)
