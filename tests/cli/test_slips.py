"""Slips of a first hour: swapped arguments, a folder for a file, a run for an artefact."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app


@pytest.fixture
def desk(
    tmp_path: Path,
    colours: Path,
    colour_artifact: Path,
    run_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An artefact, images and a run under the names that the commands below have."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(colour_artifact, "x.onnx")
    Path("images").symlink_to(colours / "test")
    Path("run").symlink_to(run_path)


@pytest.mark.parametrize(
    ("command", "error", "hint"),
    [
        ("score images x.onnx", "'images' is a folder, expected an ONNX file", "file first"),
        ("evaluate images --id x.onnx --far images", "'images' is a folder", "file first"),
        ("calibrate images x.onnx", "'images' is a folder, expected an ONNX file", "file first"),
        ("calibrate x.onnx x.onnx", "'x.onnx' is a file, expected a folder", "swapped?"),
        ("score run images", "'run' is a folder, expected an ONNX file", "edge-ood export run"),
        ("inspect run", "'run' is a folder, expected an ONNX file", "edge-ood export run"),
        ("check run", "'run' is a folder, expected an ONNX file", "edge-ood export run"),
        ("attach run --calibration images", "'run' is a folder", "edge-ood export run"),
        ("export x.onnx", "'x.onnx' is not a run directory", "edge-ood attach"),
        ("export images", "'images' is not a run directory", "edge-ood train DATA"),
        ("train x.onnx -o r", "x.onnx' is a file, expected a folder of images", "swapped?"),
        ("train x.csv -o r", "x.csv' is a file, expected a folder of images", "that it is in"),
        ("train images --lr 0 -o r", "--lr 0 learns nothing", "--lr 0.01"),
        ("export run -o x.txt", "'x.txt' is to be an ONNX file", "x.onnx"),
        ("evaluate x.onnx --id images --far run --report r.pdf", "'r.pdf' is to be a", "r.html"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_a_slip_is_named_and_what_was_meant_is_said(command: str, error: str, hint: str) -> None:
    """One line says what arrived and what was expected, another what to do."""
    Path("x.csv").write_text("a,b\n", "utf-8")

    done = CliRunner().invoke(app, command.split())

    lines = done.stderr.splitlines()
    assert 0 != done.exit_code
    (said,) = [line for line in lines if line.startswith("error: ")]
    assert error in said
    assert hint in lines[-1]
    assert lines[-1].startswith("hint: ")


@pytest.mark.usefixtures("desk")
def test_a_folder_without_one_image_is_an_error_and_has_its_rows() -> None:
    """The table is whole; of a shard nothing is expected, as others may have the images."""
    Path("texts").mkdir()
    for name in ("a.jpg", "b.png"):
        Path("texts", name).write_text("no image", "utf-8")
    command = ["score", "x.onnx", "texts", "-o"]

    alone = CliRunner().invoke(app, [*command, "t.csv"])
    shard = CliRunner().invoke(app, [*command, "s.csv", "--shard", "1/2"])
    with_image = CliRunner().invoke(app, [*command, "i.csv", "images"])

    assert [1, 0, 0] == [alone.exit_code, shard.exit_code, with_image.exit_code]
    assert "error: not one of these files is an image" in alone.stderr
    assert 2 == Path("t.csv").read_text("utf-8").count("not-an-image")


def test_the_package_is_a_command() -> None:
    """As `python -m edge_ood`, too."""
    done = subprocess.run(
        [sys.executable, "-Im", "edge_ood", "heads"], capture_output=True, text=True, check=True
    )

    assert "mahalanobis" in done.stdout
