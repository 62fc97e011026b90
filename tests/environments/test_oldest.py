"""The oldest supported onnxruntime loads what the newest tools write."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from edge_ood import Scorer

pytestmark = pytest.mark.source

Program = Callable[..., "CompletedProcess[str]"]

# Two releases of onnxruntime order float32 sums differently; the scores are of order 1 to 1000.
RELATIVE_TOLERANCE = 1e-4
VERSIONS = "import numpy, onnx, onnxruntime, PIL; print(onnxruntime.__version__, numpy.__version__)"


def test_the_environment_is_the_oldest(oldest: Program) -> None:
    """The floors of pyproject.toml install together, and that is what runs below."""
    done = oldest("python", "-c", VERSIONS)

    assert "1.17.0 1.26.0\n" == done.stdout


def test_scores_are_those_of_the_newest(
    oldest: Program, artifact_path: Path, image_folder: Path
) -> None:
    """Labels and decisions agree image by image, and the scores to float32 rounding."""
    expected = Scorer(artifact_path, provider="cpu")(image_folder)

    done = oldest("edge-ood", "score", artifact_path, image_folder)

    assert 0 == done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert expected.label == [row["label"] for row in rows]
    assert expected.is_ood.tolist() == [row["is_ood"] for row in rows]
    for head, scores in expected.scores.items():
        measured = np.array([row[head] for row in rows])
        np.testing.assert_allclose(measured, scores, rtol=RELATIVE_TOLERANCE, atol=1e-5)


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_commands_run(oldest: Program, artifact_path: Path, command: str) -> None:
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
