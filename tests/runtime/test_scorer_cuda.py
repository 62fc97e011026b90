"""Scoring on a CUDA device gives the CPU's numbers; skipped where there is none."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge_ood.artifact.outputs import Scores
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime is built for CPUs alone",
    ),
]

TOLERANCE = (
    1e-4  # float32 sums in another order, relative to logits of about 1; TF32 is off by 1e-3
)


@pytest.fixture(scope="module")
def scorers(artifact_path: Path) -> dict[str, Scorer]:
    """One artefact on both."""
    return {name: Scorer(artifact_path, provider=name, threads=1) for name in ("cpu", "cuda")}


def assert_close(expected: Scores, found: Scores) -> None:
    """Logits and every score agree; so do labels."""
    assert expected.label == found.label
    np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=TOLERANCE)
    for head, scores in expected.scores.items():
        spread = float(np.ptp(scores)) or 1.0
        np.testing.assert_allclose(
            found.scores[head], scores, rtol=0, atol=TOLERANCE * max(1.0, spread)
        )


def test_auto_takes_cuda(artifact_path: Path) -> None:
    """It is the best there is, and says so."""
    assert "cuda" == Scorer(artifact_path).provider


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_scores_are_those_of_the_cpu(
    scorers: dict[str, Scorer], image_folder: Path, batch_size: int
) -> None:
    """In full float32, at any batch size."""
    paths = find_images(image_folder)[:40]

    expected, found = (
        scorers[name].score_files(paths, batch_size=batch_size) for name in ("cpu", "cuda")
    )

    assert_close(expected, found)


def test_rows_are_those_of_the_arrays(scorers: dict[str, Scorer], image_folder: Path) -> None:
    """Several threads decode, one batch at a time is on the device, and rows keep their order."""
    paths = find_images(image_folder)[:40]
    alone = scorers["cuda"].score_files(paths, batch_size=8)

    rows = list(scorers["cuda"].stream(paths, batch_size=8, threads=4))

    assert paths == [row.path for row in rows]
    assert alone.label == [row.values["label"] for row in rows]
    np.testing.assert_allclose([row.values["energy"] for row in rows], alone.scores["energy"])
