"""`edge-ood score` over names and places of every kind: one row each, under the right name."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from edge_ood.cli.app import app

# Bytes of a name on disk, and how it stands in a table.
NAMES = {
    b"plain.png": "plain.png",
    b" leading space.png": " leading space.png",
    b"trailing space ": "trailing space ",
    b'it\'s "quoted".png': 'it\'s "quoted".png',
    b"comma, semicolon; tab\t.png": "comma, semicolon; tab\t.png",
    b"line\nbreak.png": "line\nbreak.png",
    b"return\r.png": "return\r.png",
    b"return and break\r\n.png": "return and break\r\n.png",
    b"escape\x1b[31m.png": "escape\x1b[31m.png",
    b"back\\slash.png": "back\\slash.png",
    b"%s %d {0}.png": "%s %d {0}.png",
    b"~home.png": "~home.png",
    b"$HOME `id`.png": "$HOME `id`.png",
    b"*.png": "*.png",
    b"...": "...",
    b".hidden.png": ".hidden.png",
    b"-": "-",
    b"--help": "--help",
    b"=cmd|'calc'!A0.png": "=cmd|'calc'!A0.png",
    b"=1+1.png": "=1+1.png",
    b"+1.png": "+1.png",
    b"-1.png": "-1.png",
    b"@SUM(1).png": "@SUM(1).png",
    "\uff1d1.png".encode(): "\uff1d1.png",
    "日本語 한국어 العربية.png".encode(): "日本語 한국어 العربية.png",
    "caf\u00e9.png".encode(): "caf\u00e9.png",
    "cafe\u0301.png".encode(): "cafe\u0301.png",
    "\U0001f4f7.png".encode(): "\U0001f4f7.png",
    "turned \u202egnp.png".encode(): "turned \u202egnp.png",
    "\ufeffmark.png".encode(): "\ufeffmark.png",
    b"caf\xe9.png": r"caf\xe9.png",
    b"\xff\xfe\n=1.png": "\\xff\\xfe\n=1.png",
    b"cut \xe6\x97.png": r"cut \xe6\x97.png",
    b"surrogate \xed\xa0\x80.png": r"surrogate \xed\xa0\x80.png",
    b"n" * 251 + b".png": "n" * 251 + ".png",
}

DEPTH = 1100  # folders in folders, more than Python's stack has frames
DEEP = "deep/" + "d/" * DEPTH + "photo.png"
BEYOND = "beyond/" + "/".join(["e" * 250] * 30)  # twice as long as a path may be

# What is no file with a picture in it, by the end of its path; with status and the error's end.
PLACES = {
    DEEP: ("ok", ""),
    "folder/inside.png": ("ok", ""),
    "link to a file": ("ok", ""),
    "link to a folder/inside.png": ("ok", ""),
    "folder/up": ("unreadable", "a link to a folder that it lies in"),
    "link to a folder/up": ("unreadable", "a link to a folder that it lies in"),
    "link to all": ("unreadable", "a link to a folder that it lies in"),
    "dangling": ("unreadable", "No such file or directory"),
    "links to itself": ("unreadable", "Too many levels of symbolic links"),
    "failing disk": ("unreadable", "Input/output error"),
    "pipe": ("unreadable", "not a regular file"),
    "socket": ("unreadable", "not a regular file"),
    "device": ("unreadable", "not a regular file"),
    "film": ("not-an-image", "is not an image"),
    "terabyte": ("too-large", "are read"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with `zoo`, which holds all of them."""
    folder = tmp_path_factory.mktemp("names")
    photo = folder / "photo.png"
    Image.new("RGB", (16, 16), (200, 20, 30)).save(photo)
    zoo = folder / "zoo"
    zoo.mkdir()
    for name in NAMES:
        shutil.copy(photo, os.path.join(os.fsencode(zoo), name))  # noqa: PTH118  # bytes
    make_places(zoo, photo)
    yield folder
    # Not by Python, which gives up at such depths.
    subprocess.run([shutil.which("rm") or "rm", "-rf", zoo], check=True)


def make_places(zoo: Path, photo: Path) -> None:
    """Everything that `PLACES` promises, and two folders without a file."""
    before = Path.cwd()
    dig(zoo, "deep", *["d"] * DEPTH)
    shutil.copy(photo, zoo / DEEP)
    dig(zoo, *BEYOND.split("/"))
    (zoo / "empty" / "inner").mkdir(parents=True)
    (zoo / "folder").mkdir()
    shutil.copy(photo, zoo / "folder" / "inside.png")
    links = {
        "link to a file": photo,
        "link to a folder": "folder",
        "folder/up": "..",
        "link to all": "/",
        "dangling": "nowhere",
        "links to itself": "links to itself",
        "failing disk": "/proc/self/mem",
        "device": "/dev/zero",
    }
    for name, target in links.items():
        (zoo / name).symlink_to(target)
    os.mkfifo(zoo / "pipe")
    os.chdir(zoo)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    os.chdir(before)
    for name, head in (("film", b"\0\0\0\x20ftypisom"), ("terabyte", b"\x89PNG\r\n\x1a\n")):
        with (zoo / name).open("wb") as file:
            file.write(head)
            file.truncate(2**40)


def dig(root: Path, *names: str) -> None:
    """Folders in folders, of which no path may be able to tell."""
    before = Path.cwd()
    os.chdir(root)
    for name in names:
        Path(name).mkdir()
        os.chdir(name)
    os.chdir(before)


def score(folder: Path, artefact: Path, *arguments: str) -> None:
    """Run `edge-ood score` in the working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, ["score", str(artefact), *arguments])
    finally:
        os.chdir(before)
    assert 0 == result.exit_code, result.output


@pytest.fixture(scope="module")
def rows(folder: Path, colour_artifact: Path) -> list[dict[str, str]]:
    """The table of the zoo, as CSV."""
    score(folder, colour_artifact, "zoo", "-o", "out.csv")
    with (folder / "out.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_every_name_stands_as_it_is(rows: list[dict[str, str]]) -> None:
    r"""One row each and scored; bytes outside UTF-8 stand as `\xNN`."""
    by_path = {row["path"]: row["status"] for row in rows}

    assert len(by_path) == len(rows)
    assert {f"./zoo/{shown}": "ok" for shown in NAMES.values()}.items() <= by_path.items()


def test_every_place_is_told(rows: list[dict[str, str]]) -> None:
    """Links, loops, pipes, devices and depths: the right status, and why."""
    by_path = {row["path"].removeprefix("./zoo/"): row for row in rows}

    for place, (status, error) in PLACES.items():
        assert status == by_path[place]["status"]
        assert by_path[place]["error"].endswith(error)
        assert bool(error) == bool(by_path[place]["error"])


def test_what_lies_beyond_any_path_is_one_row(rows: list[dict[str, str]]) -> None:
    """A folder whose path is too long to be opened stands for what is in it."""
    (row,) = (row for row in rows if row["path"].startswith("./zoo/beyond"))

    assert f"./zoo/{BEYOND}".startswith(row["path"])
    assert ("unreadable", True) == (row["status"], row["error"].endswith("File name too long"))


def test_nothing_else_has_a_row(rows: list[dict[str, str]]) -> None:
    """Neither empty folders nor what links upwards would repeat."""
    assert len(NAMES) + len(PLACES) + 1 == len(rows)


def test_the_order_is_by_name_files_before_folders(rows: list[dict[str, str]]) -> None:
    """Names as the system hands them over, stray bytes as they are."""
    files = sorted([*map(os.fsdecode, NAMES), *(place for place in PLACES if "/" not in place)])
    folders = [row["path"].split("/")[2] for row in rows[len(files) :]]

    shown = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in files]
    assert [f"./zoo/{name}" for name in shown] == [row["path"] for row in rows[: len(files)]]
    assert ["beyond", "deep", *["folder"] * 2, *["link to a folder"] * 2] == folders


def test_no_cell_is_a_formula(rows: list[dict[str, str]]) -> None:
    """Nothing but a number begins like one."""
    for cell in (cell for row in rows for cell in row.values()):
        if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")):
            float(cell)


def test_json_lines_say_the_same(
    rows: list[dict[str, str]], folder: Path, colour_artifact: Path
) -> None:
    """One line each, whatever is in the name."""
    score(folder, colour_artifact, "zoo", "-o", "out.jsonl")

    with (folder / "out.jsonl").open(encoding="utf-8", newline="\n") as stream:
        found = [json.loads(line) for line in stream]
    for name in ("path", "status", "error", "label"):
        assert [row[name] for row in rows] == [row[name] or "" for row in found]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_terminal_can_show_them(folder: Path, colour_artifact: Path, encoding: str) -> None:
    """Where the environment knows no UTF-8, names and errors print all the same."""
    names = [name for name in NAMES if name != b"-"]
    command = [sys.executable, "-c", "from edge_ood.cli import main; main()", "score"]
    environment = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": encoding,
    }

    run = subprocess.run(
        [*command, colour_artifact, "--", *(b"zoo/" + name for name in names), "zoo/dangling"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )

    assert 0 == run.returncode, run.stderr.decode()
    found = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
    assert [f"./zoo/{NAMES[name]}" for name in names] == [row["path"] for row in found[:-1]]
    assert f"{len(names) + 1} files in" in run.stderr.decode(encoding)
