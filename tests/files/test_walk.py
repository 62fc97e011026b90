"""Walking folders: which files, in which order, through links and to any depth."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_ood.files import walk as walk_module
from edge_ood.files.walk import walk


def make(root: Path, *names: str) -> Path:
    """Empty files below a folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def walked(root: Path) -> list[str]:
    """Paths below the root as text."""
    return [str(path.relative_to(root)) for path in walk(root)]


def test_the_order_is_by_name_files_before_folders(tmp_path: Path) -> None:
    """The same on every file system."""
    make(tmp_path, "b/2.png", "b/1.png", "a/3.png", "z.png", "B.png", "b/deep/er/4.txt", ".x")

    expected = [".x", "B.png", "z.png", "a/3.png", "b/1.png", "b/2.png", "b/deep/er/4.txt"]
    assert expected == walked(tmp_path)


def test_a_folder_of_many_files_is_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many more names there are than are sorted at a time, and whatever they hold."""
    monkeypatch.setattr(walk_module, "_NAMES_PER_RUN", 7)
    odd = ["\n", " ", "é", "猫", os.fsdecode(b"\xff"), "\U0001f408", ".", "ab", "a b"]
    for count in (1, 6, 7, 8, 21, 100):
        folder = make(tmp_path / str(count), *(f"{odd[i % 9]}{i * 37 % 101}" for i in range(count)))
        assert sorted(path.name for path in folder.iterdir()) == walked(folder)


def test_links_are_followed(tmp_path: Path) -> None:
    """To files and to folders, under the names of the links; one to nowhere is a file."""
    make(tmp_path, "real/1.png", "walked/2.png")
    (tmp_path / "walked" / "file").symlink_to("../real/1.png")
    (tmp_path / "walked" / "folder").symlink_to("../real")
    (tmp_path / "walked" / "nowhere").symlink_to("missing")
    (tmp_path / "walked" / "itself").symlink_to("itself")

    expected = ["2.png", "file", "itself", "nowhere", "folder/1.png"]
    assert expected == walked(tmp_path / "walked")


@pytest.mark.parametrize("target", [".", "..", "../..", "../../..", "/"])
def test_a_link_upwards_stands_for_itself(tmp_path: Path, target: str) -> None:
    """To its own folder, to the root of the walk and beyond, under any name."""
    root = make(tmp_path / "deep" / "root", "a/b/1.png")
    (root / "a" / "b" / "up").symlink_to(target)
    (tmp_path / "alias").symlink_to("deep/root")

    assert ["a/b/1.png", "a/b/up"] == walked(root)
    assert ["a/b/1.png", "a/b/up"] == walked(tmp_path / "alias")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """Two folders with links to each other are each entered once on every way."""
    make(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "to b").symlink_to("../b")
    (tmp_path / "b" / "to a").symlink_to("../a")

    expected = ["a/1.png", "a/to b/2.png", "a/to b/to a", "b/2.png", "b/to a/1.png", "b/to a/to b"]
    assert expected == walked(tmp_path)


def test_what_is_left_out_is_not_entered(tmp_path: Path) -> None:
    """Files and whole folders."""
    make(tmp_path, "a/1.png", "a/.x/2.png", ".y/3.png", ".4.png", "5.png")

    found = walk(tmp_path, leave_out=lambda path: path.name.startswith("."))

    assert [tmp_path / "5.png", tmp_path / "a" / "1.png"] == list(found)


def test_a_closed_folder_stands_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is reported, with what the system says."""
    make(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    scan = os.scandir
    closed = []

    def refuse(path: Path) -> "os._ScandirIterator[str]":
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("edge_ood.files.walk.os.scandir", refuse)

    found = list(walk(tmp_path, on_closed=lambda *args: closed.append(args)))

    assert [tmp_path / "a" / "1.png", tmp_path / "b", tmp_path / "c" / "3.png"] == found
    assert [(tmp_path / "b", "Permission denied")] == [(f, e.strerror) for f, e in closed]


@pytest.fixture
def pit(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed by a program that does not mind its depth."""
    folder = tmp_path / "pit"
    folder.mkdir()
    yield folder
    subprocess.run([shutil.which("rm") or "rm", "-rf", folder], check=True)


def dig(folder: Path, name: str, depth: int) -> None:
    """Folders of one name in each other, deeper than any path can say; a file in the last."""
    before = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)
        Path("1.png").touch()
    finally:
        os.chdir(before)


def test_a_folder_with_too_long_a_path_stands_for_itself(pit: Path) -> None:
    """The system opens no path of 4096 bytes; the first folder beyond is what is known."""
    name = "d" * 200
    dig(pit, name, 30)
    reasons = []

    (found,) = walk(pit, on_closed=lambda _, error: reasons.append(error.strerror))

    assert {name} == set(found.relative_to(pit).parts)
    assert 4096 <= len(str(found)) < 4096 + 201
    assert ["File name too long"] == reasons
