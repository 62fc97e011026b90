"""The oldest supported onnxruntime loads what the newest tools write."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from edge_ood import Scorer
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Changes
from edge_ood.images.folders import find_images
from edge_ood.registry import parse_specs
from edge_ood.runtime.calibrate import calibrate_artifact

pytestmark = pytest.mark.source

Program = Callable[..., "CompletedProcess[str]"]

# Two releases of onnxruntime order float32 sums differently; the scores are of order 1 to 1000.
RELATIVE_TOLERANCE = 1e-4
SCORE_FRAMES = """
import sys, numpy, edge_ood
scores = edge_ood.Scorer(sys.argv[1])(numpy.load(sys.argv[2])).scores
numpy.save(sys.argv[3], numpy.stack([scores[head] for head in sorted(scores)]))
"""
# Of their deviation: another order of sums may round a feature map to the next step of few bits.
OF_DEVIATION = {"fp16_artifact": 0.005, "int8_artifact": 0.02}
KINDS = {
    "artifact_path": "image_folder",
    "colour_artifact": "colours",
    "guaranteed_artifact": "colours",
    "fp16_artifact": "image_folder",
    "int8_artifact": "image_folder",
}
VERSIONS = """
import numpy, onnx, onnxruntime, PIL
print(*(module.__version__ for module in (onnxruntime, numpy, onnx, PIL)))
"""


@pytest.fixture(scope="module")
def guaranteed_artifact(
    colour_artifact: Path, colours: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Thresholds per class, and a combined score that decides beside them."""
    path = tmp_path_factory.mktemp("guaranteed") / "x.onnx"
    changes = Changes(confidence=0.4, per_class=True, combined=True)
    known = [*find_images(colours / "calibration"), *find_images(colours / "test")]
    calibrate_artifact(colour_artifact, known, changes=changes, output=path, provider="cpu")
    return path


def converted(run_path: Path, folder: Path, precision: str, scores: str = "") -> Path:
    from edge_ood.torch_export.export import export_run

    heads = parse_specs(scores) if scores else ()
    options = Options(heads=heads, provider="cpu", precision=precision)
    export_run(run_path, folder / "x.onnx", options)
    return folder / "x.onnx"


@pytest.fixture(scope="module")
def fp16_artifact(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's run in float16, with a gradient."""
    folder = tmp_path_factory.mktemp("fp16")
    return converted(run_path, folder, "fp16", "energy,mahalanobis,mcd_l1,odin")


@pytest.fixture(scope="module")
def int8_artifact(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's run in 8 bits."""
    return converted(run_path, tmp_path_factory.mktemp("int8"), "int8")


def test_the_environment_is_the_oldest(oldest: Program) -> None:
    """The floors of pyproject.toml install together, and that is what runs below."""
    done = oldest("python", "-c", VERSIONS)

    assert "1.17.0 1.26.0 1.16.0 10.1.0\n" == done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_newest(
    oldest: Program, kind: str, request: pytest.FixtureRequest
) -> None:
    """Every kind of artefact gives the same labels and decisions, and scores to rounding."""
    artefact, images = request.getfixturevalue(kind), request.getfixturevalue(KINDS[kind])
    expected = Scorer(artefact, provider="cpu")(images)

    done = oldest("edge-ood", "score", artefact, images)

    assert 0 == done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert expected.label == [row["label"] for row in rows]
    assert expected.is_ood.tolist() == [row["is_ood"] for row in rows]
    for head, scores in expected.scores.items():
        measured = np.array([row[head] for row in rows])
        absolute = max(1e-5, OF_DEVIATION.get(kind, 0) * float(scores.std()))
        np.testing.assert_allclose(measured, scores, rtol=RELATIVE_TOLERANCE, atol=absolute)


def test_frames_are_resized_alike(oldest: Program, artifact_path: Path, tmp_path: Path) -> None:
    """Antialiased resizing inside the file gives the same scores in both releases."""
    frames, measured = tmp_path / "frames.npy", tmp_path / "scores.npy"
    np.save(frames, np.random.default_rng(0).integers(0, 256, (3, 37, 53, 3), np.uint8))
    expected = Scorer(artifact_path, provider="cpu")(np.load(frames)).scores

    done = oldest("python", "-c", SCORE_FRAMES, artifact_path, frames, measured)

    assert 0 == done.returncode, done.stderr
    in_order = np.stack([expected[head] for head in sorted(expected)])
    np.testing.assert_allclose(np.load(measured), in_order, rtol=RELATIVE_TOLERANCE, atol=1e-5)


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_commands_read_a_file_of_the_newest_versions(
    oldest: Program, artifact_path: Path, command: str
) -> None:
    """The probe is reproduced and the description printed."""
    done = oldest("edge-ood", command, artifact_path)

    assert 0 == done.returncode, done.stderr


def test_calibrate_rewrites_the_file(
    oldest: Program, artifact_path: Path, image_folder: Path, tmp_path: Path
) -> None:
    """The oldest onnx rewrites thresholds in a file that the newest onnx made."""
    output = tmp_path / "new.onnx"

    done = oldest("edge-ood", "calibrate", artifact_path, image_folder, "-o", output)

    assert 0 == done.returncode, done.stderr
    assert Scorer(output, provider="cpu").metadata.calibration.n > 0


def test_attach_makes_an_artefact(
    oldest: Program, foreign_network: Callable[..., ModelProto], colours: Path, tmp_path: Path
) -> None:
    """Reading, converting and adopting a foreign graph need nothing that is newer."""
    onnx.save(foreign_network(ending="softmax", batch=1, opset=11), tmp_path / "network.onnx")
    folders = ("--id", colours / "train", "--calibration", colours / "calibration")
    words = ("--pixels", "unit", "--scores", "energy,mahalanobis,odin", "-o", tmp_path / "x.onnx")

    done = oldest("edge-ood", "attach", tmp_path / "network.onnx", *folders, *words)

    assert 0 == done.returncode, done.stderr
    assert ("energy", "mahalanobis", "odin") == Scorer(tmp_path / "x.onnx", provider="cpu").heads
