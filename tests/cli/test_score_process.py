"""`edge-ood score` as a process: terminals, pipes, signals and full disks."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EDGE_OOD = "from edge_ood.cli import main; main()"
SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))"
HEEDING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Shells start what runs in their background deaf to interrupts, and children inherit that."""

LONG_LIST = 30_000  # images; seconds of work, so that there is time to interrupt
SECOND_WRITE = 100_000  # bytes; then a first portion of 64 KiB is written and counted for certain


@pytest.fixture
def folder(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `images`: ID ones, a grey one and one that is none."""
    images = tmp_path / "images"
    shutil.copytree(colours / "test" / "red apple", images / "red apple")
    Image.new("RGB", (16, 16), (9, 9, 9)).save(images / "grey.png")
    (images / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return images


def start(*arguments: object, first: str = "", **settings: Any) -> "subprocess.Popen[bytes]":
    """Start `edge-ood score` in a process of its own, which runs other code first."""
    command = [sys.executable, "-c", f"{first}\n{EDGE_OOD}", "score", *map(str, arguments)]
    environment = os.environ | settings.pop("env", {})
    environment.pop("PYTHONUNBUFFERED", None)  # users have buffers, which are flushed at exit
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, **settings)


def test_a_terminal_gets_a_table(artefact: str, folder: Path) -> None:
    """Paths in one line each whatever is in them, decisions in words, then a summary."""
    shutil.copy(folder / "grey.png", folder / "line\nbreak\x1b[31m.png")
    ours, theirs = pty.openpty()

    with start(artefact, "images", stdout=theirs) as process:
        _, stderr = process.communicate()
    os.close(theirs)

    lines = os.read(ours, 100_000).decode().splitlines()
    os.close(ours)
    assert 0 == process.returncode
    assert ["path", "decision", "p", "energy", "label"] == lines[0].split()
    assert 1 + 9 == len(lines)
    assert any("./images/grey.png" in line and " OOD " in line for line in lines)
    assert any(r"line\nbreak\x1b[31m.png" in line for line in lines)
    assert any("notes.txt" in line and "not-an-image" in line for line in lines)
    assert 6 == sum(line.endswith("  red apple") and "  ID  " in line for line in lines)
    assert b"9 files in" in stderr


def test_a_reader_that_has_enough_is_no_error(artefact: str, folder: Path) -> None:
    """`| head -1` ends the work without a word about pipes."""
    Path("list").write_text("images/grey.png\n" * LONG_LIST)

    with (
        Path("list").open() as listed,
        start(artefact, "-", stdin=listed, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        stderr = process.stderr.read()

    assert "./images/grey.png" == json.loads(first)["path"]
    assert 0 == process.returncode
    assert b"Error" not in stderr


@pytest.mark.parametrize(
    ("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupt_keeps_what_is_done(
    artefact: str, folder: Path, kind: signal.Signals, code: int
) -> None:
    """Ctrl-C half-way: one line with the number done, the old file untouched; --resume goes on."""
    Path("out.csv").write_text("old")
    Path("list").write_text("images/grey.png\n" * LONG_LIST)
    part = Path("out.csv.part/out.csv")

    with (
        Path("list").open() as listed,
        start(artefact, "-", "-o", "out.csv", "--force", first=HEEDING, stdin=listed) as process,
    ):
        while not (part.exists() and part.stat().st_size > SECOND_WRITE) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(kind)
        _, stderr = process.communicate()

    last = stderr.decode().splitlines()[-1]
    done = re.fullmatch(r"interrupted: (\d+) of 30000 files are done, and --resume .*", last)
    assert code == process.returncode
    assert done
    assert 0 < int(done[1]) == part.read_text().count("\n") - 1
    assert "old" == Path("out.csv").read_text()
    assert ["images", "list", "out.csv", "out.csv.part"] == sorted(
        path.name for path in Path().iterdir()
    )


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_a_disk_that_is_full_at_once_is_an_error(artefact: str, folder: Path, output: str) -> None:
    """Where no file can have 600 bytes, one line names it, and no part of it is left."""
    with start(artefact, "images", "-o", output, first=SMALL_DISK) as process:
        _, stderr = process.communicate()

    assert 1 == process.returncode
    assert f"error: cannot write '{output}': ".encode() in stderr
    assert b"File too large\n" in stderr
    assert b"Traceback" not in stderr
    assert ["images"] == [path.name for path in Path().iterdir()]


def test_a_disk_that_fills_keeps_what_is_done(artefact: str, folder: Path) -> None:
    """Rows that fitted are whole, and with more room --resume ends as if nothing had happened."""
    Path("list").write_text("images\n" * 400)
    for output, first in (("whole.csv", ""), ("out.csv", SMALL_DISK.replace("600", "150_000"))):
        with (
            Path("list").open() as listed,
            start(artefact, "-", "-o", output, stdin=listed, first=first) as process,
        ):
            _, stderr = process.communicate()

    assert 1 == process.returncode
    assert b"error: cannot write 'out.csv': File too large\nhint: free some space; " in stderr
    part = Path("out.csv.part/out.csv").read_bytes()
    assert 100_000 < len(part) <= 150_000
    assert Path("whole.csv").read_bytes().startswith(part)
    with (
        Path("list").open() as listed,
        start(artefact, "-", "-o", "out.csv", "--resume", stdin=listed) as process,
    ):
        _, stderr = process.communicate()
    assert 0 == process.returncode
    assert Path("whole.csv").read_bytes() == Path("out.csv").read_bytes()


def test_a_full_standard_output_is_an_error(artefact: str, folder: Path) -> None:
    """/dev/full: one line, no complaint at exit."""
    with Path("/dev/full").open("wb") as full, start(artefact, "images", stdout=full) as process:
        _, stderr = process.communicate()

    assert 1 == process.returncode
    assert b"error: cannot write standard output: No space left on device\n" in stderr
    assert b"Exception" not in stderr


def test_other_encodings_of_the_terminal_do_not_matter(artefact: str, folder: Path) -> None:
    """JSON Lines are UTF-8 where the environment says ASCII."""
    shutil.copy(folder / "grey.png", "日本語.png")
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    with start(artefact, "日本語.png", stdout=subprocess.PIPE, env=environment) as process:
        stdout, _ = process.communicate()

    assert "./日本語.png" == json.loads(stdout.decode())["path"]
