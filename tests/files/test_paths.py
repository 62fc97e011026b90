"""Paths that lead nowhere in an odd way: too long, below a file, below a folder that is closed."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.errors import DataError
from edge_ood.files.paths import is_file, is_folder, shortest_name
from edge_ood.runtime.scorer import Scorer

TOO_LONG = "n" * 300

COMMANDS = (
    "score {artefact} PATH",
    "score PATH {images}",
    "score {artefact} {images} -o PATH --format csv",
    "explain {artefact} PATH",
    "explain PATH {images}",
    "evaluate {artefact} --id PATH --ood {images}",
    "evaluate {artefact} --id {images} --ood PATH",
    "evaluate {artefact} --id {images} --ood name=PATH",
    "calibrate {artefact} PATH",
    "calibrate PATH {images}",
    "inspect PATH",
    "check PATH",
    "export PATH",
    "train PATH -o {folder}/run",
    "train {images} -o PATH",
)


def test_files_and_folders_are_told(tmp_path: Path) -> None:
    """Themselves and through links; nothing is neither."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "up").symlink_to(".")

    kinds = {
        name: (is_file(tmp_path / name), is_folder(tmp_path / name))
        for name in ("file", "link", "up", "missing", "file/below", TOO_LONG, "up/" * 2000)
    }

    file, folder, nothing = (True, False), (False, True), (False, False)
    assert {"file": file, "link": file, "up": folder} == {
        name: kind for name, kind in kinds.items() if kind != nothing
    }


def test_below_a_closed_folder_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not be looked at cannot be read either."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refuse)

    assert not is_file(Path("closed/x"))
    assert not is_folder(Path("closed/x"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_is_too_long_is_one_line(
    command: str, colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """An error and a hint from every command, whichever of its paths it is."""
    if command.startswith(("train", "export")):
        pytest.importorskip("torch")
    places = {"artefact": colour_artifact, "images": colours / "test", "folder": tmp_path}
    words = [word.format(**places).replace("PATH", TOO_LONG) for word in command.split()]

    result = CliRunner().invoke(app, words)

    lines = [line for line in result.stderr.splitlines() if line.startswith(("error", "hint"))]
    assert 1 == result.exit_code
    assert isinstance(result.exception, SystemExit)
    assert ["error", "hint"] == [line.partition(":")[0] for line in lines]


def test_a_name_that_is_too_long_is_no_image(colour_artifact: Path) -> None:
    """From Python as from the command line."""
    with pytest.raises(DataError, match="File name too long"):
        Scorer(colour_artifact)(TOO_LONG)


@pytest.mark.parametrize(
    ("expected", "own", "taken"),
    [
        ("b", ("a", "b"), ()),
        ("x/c", ("x", "c"), ()),
        ("x/y/d", ("x", "y", "d"), ()),
        ("a/b", ("a", "b"), ("b",)),
        ("", ("e", "f"), ()),
        ("", ("a", "b"), ("b", "a/b")),
    ],
)
def test_a_name_has_as_few_parts_as_tell_it_apart(
    expected: str, own: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    """None where another path is the same, or every name is taken."""
    among = [tuple(path.split("/")) for path in ("a/b", "x/c", "y/c", "x/y/d", "y/d", "e/f", "e/f")]

    assert expected == shortest_name(own, among, taken)
