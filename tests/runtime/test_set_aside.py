"""Files that are set aside: never over another, and at one place after any kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.runtime import set_aside as module
from edge_ood.runtime.set_aside import set_aside

MOVING = """
import sys
from pathlib import Path
from edge_ood.runtime.set_aside import set_aside
root, folder = map(Path, sys.argv[1:])
print("ready", flush=True)
for path in sorted(root.iterdir()):
    set_aside(path, root, folder, move=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(b"first")
    return folder


@pytest.mark.parametrize("move", [False, True])
def test_a_file_keeps_its_name_below_the_root(root: Path, tmp_path: Path, move: bool) -> None:
    """Copied or moved, with its content."""
    source = root / "deep" / "a.png"

    placed = set_aside(source, root, tmp_path / "odd", move=move)

    assert tmp_path / "odd" / "deep" / "a.png" == placed
    assert b"first" == placed.read_bytes()
    assert move != source.exists()
    assert ["deep"] == [path.name for path in (tmp_path / "odd").iterdir()]


def test_nothing_is_overwritten(root: Path, tmp_path: Path) -> None:
    """Another content gets a number; the same content is there already."""
    source = root / "deep" / "a.png"
    set_aside(source, root, tmp_path / "odd", move=False)
    set_aside(source, root, tmp_path / "odd", move=False)
    source.write_bytes(b"second")

    placed = set_aside(source, root, tmp_path / "odd", move=True)

    found = {p.name: p.read_bytes() for p in (tmp_path / "odd" / "deep").iterdir()}
    assert {"a.png": b"first", "a (2).png": b"second"} == found
    assert "a (2).png" == placed.name


def test_memory_cards_without_links_do(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system has none, a new file is made; it, too, replaces nothing."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "link", refused)
    (tmp_path / "odd" / "deep").mkdir(parents=True)
    (tmp_path / "odd" / "deep" / "a.png").write_bytes(b"other")

    placed = set_aside(root / "deep" / "a.png", root, tmp_path / "odd", move=True)

    assert b"other" == (tmp_path / "odd" / "deep" / "a.png").read_bytes()
    assert b"first" == placed.read_bytes()


def test_a_file_that_is_gone_is_nothing(root: Path, tmp_path: Path) -> None:
    """Somebody else took it meanwhile."""
    assert set_aside(root / "none.png", root, tmp_path / "odd", move=True) is None


def test_a_folder_that_cannot_be_written_is_one_error(root: Path, tmp_path: Path) -> None:
    """And the file is where it was."""
    (tmp_path / "odd").write_text("a file")

    with pytest.raises(DataError, match="cannot put"):
        set_aside(root / "deep" / "a.png", root, tmp_path / "odd", move=True)

    assert (root / "deep" / "a.png").exists()


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.1])
def test_a_kill_loses_nothing(tmp_path: Path, after_s: float) -> None:
    """SIGKILL amid 400 files; started again, each is at its new place once, with its content."""
    root, folder = tmp_path / "in", tmp_path / "odd"
    root.mkdir()
    for number in range(400):
        (root / f"{number}.png").write_bytes(str(number).encode() * 500)
    command = [sys.executable, "-c", MOVING, str(root), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGKILL)
    left = {path.name for path in root.iterdir()}
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert {f"{n}.png" for n in range(400)} <= left | there

    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    assert [] == list(root.iterdir())
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {f"{n}.png": str(n).encode() * 500 for n in range(400)}
