"""A device with `edge-ood[cpu]` and no torch does everything but train and export a run."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import onnx
import pytest
from onnx import ModelProto
from typer.testing import CliRunner

from edge_ood import Scorer
from edge_ood.cli.app import app

pytestmark = pytest.mark.source

Program = Callable[..., "CompletedProcess[str]"]

LIST_DISTRIBUTIONS = (
    "from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))"
)


@pytest.mark.parametrize("module", ["torch", "torchvision", "sklearn", "scipy", "onnxscript"])
def test_no_training_library_is_there(torch_free: Program, module: str) -> None:
    """The environment really lacks what the device must do without."""
    done = torch_free("python", "-c", f"import {module}")

    assert f"ModuleNotFoundError: No module named '{module}'" in done.stderr


def test_the_device_installs_few_libraries(torch_free: Program) -> None:
    """`edge-ood[cpu]` brings the four libraries of the score path, onnx, and what they need."""
    installed = torch_free("python", "-c", LIST_DISTRIBUTIONS).stdout.split()

    assert {"edge-ood", "numpy", "onnx", "onnxruntime", "pillow", "typer"} <= set(installed)
    assert len(installed) <= 20


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["heads"]])
def test_words_about_itself(torch_free: Program, arguments: list[str]) -> None:
    """Help, version and the list of heads are what the full installation prints."""
    done = torch_free("edge-ood", *arguments)

    assert (0, "") == (done.returncode, done.stderr)
    assert CliRunner().invoke(app, arguments).stdout.split() == done.stdout.split()


def test_scores_are_those_of_the_full_installation(
    torch_free: Program, artifact_path: Path, image_folder: Path, tmp_path: Path
) -> None:
    """Every image of a folder gets the row that it gets beside torch."""
    expected = Scorer(artifact_path, provider="cpu")(image_folder)

    done = torch_free("edge-ood", "score", artifact_path, image_folder, "-o", tmp_path / "s.csv")

    assert 0 == done.returncode, done.stderr
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert expected.label == [row["label"] for row in rows]
    for head, scores in expected.scores.items():
        assert pytest.approx(scores, rel=1e-5, abs=1e-6) == [float(row[head]) for row in rows]


def test_check_reproduces_the_probe(torch_free: Program, artifact_path: Path) -> None:
    """The device agrees with the scores that the artefact carries."""
    done = torch_free("edge-ood", "check", artifact_path)

    assert 0 == done.returncode, done.stderr


def test_inspect_names_every_head(torch_free: Program, artifact_path: Path) -> None:
    """The artefact's description is readable on the device."""
    done = torch_free("edge-ood", "inspect", artifact_path)

    assert 0 == done.returncode, done.stderr
    assert set(Scorer(artifact_path, provider="cpu").heads) <= set(done.stdout.split())


def test_calibrate_fits_new_thresholds(
    torch_free: Program, artifact_path: Path, image_folder: Path, tmp_path: Path
) -> None:
    """Images of the device replace the calibration, and the number of images is stored."""
    copy = tmp_path / "copy.onnx"
    shutil.copy(artifact_path, copy)
    count = sum(1 for path in image_folder.rglob("*") if path.is_file())

    done = torch_free("edge-ood", "calibrate", copy, image_folder)

    assert 0 == done.returncode, done.stderr
    assert count == Scorer(copy, provider="cpu").metadata.calibration.n


def test_evaluate_tells_known_from_foreign(
    torch_free: Program, artifact_path: Path, digit_folders: Path, tmp_path: Path
) -> None:
    """Metrics come out on the device, with every head in them."""
    folders = ("--id", digit_folders / "test", "--ood", digit_folders / "far")

    done = torch_free("edge-ood", "evaluate", artifact_path, *folders, "--json", tmp_path / "e")

    assert 0 == done.returncode, done.stderr
    assert "far" in json.loads((tmp_path / "e").read_text("utf-8"))["models"][0]["ood"]


def test_attach_makes_an_artefact(
    torch_free: Program, foreign_network: Callable[..., ModelProto], colours: Path, tmp_path: Path
) -> None:
    """A classifier that came as ONNX needs no torch to get scores, a gradient among them."""
    onnx.save(foreign_network(ending="softmax", batch=1, opset=11), tmp_path / "network.onnx")
    folders = ("--id", colours / "train", "--calibration", colours / "calibration")
    words = ("--pixels", "unit", "--scores", "energy,mahalanobis,odin", "-o", tmp_path / "x.onnx")

    done = torch_free("edge-ood", "attach", tmp_path / "network.onnx", *folders, *words)

    assert 0 == done.returncode, done.stderr
    assert ("energy", "mahalanobis", "odin") == Scorer(tmp_path / "x.onnx", provider="cpu").heads


@pytest.mark.parametrize(
    ("line", "extra"), [("train photos -o run", "train"), ("export run", "train"), ("demo", "demo")]
)
def test_what_needs_torch_names_the_extra(torch_free: Program, line: str, extra: str) -> None:
    """Training on a device ends in one line and the command that mends it."""
    done = torch_free("edge-ood", *line.split())

    assert 1 == done.returncode
    assert done.stderr.startswith("error: ")
    assert f"hint: pip install 'edge-ood[{extra}]'" in done.stderr
