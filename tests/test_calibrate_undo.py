"""Going back: every earlier calibration comes back to the bit, until there is none."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_ood.artifact import store_metadata
from edge_ood.calibrate import calibrate_artifact, undo_calibration
from edge_ood.calibration.threshold import Knots
from edge_ood.errors import ArtifactError
from edge_ood.graph.assemble import read_knots, replace_knots
from edge_ood.images import find_images
from edge_ood.runtime import Scorer

HEADS = ("energy", "msp", "uniform_ce")


@pytest.fixture
def path(tmp_path: Path, colour_artifact: Path) -> Path:
    """A copy of the artefact to be calibrated anew."""
    return Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))


@pytest.fixture
def known(colours: Path) -> list[Path]:
    """120 images: the artefact's own calibration and test images, some of them twice."""
    return [*find_images(colours / "calibration"), *find_images(colours / "test") * 4][:120]


def stored(path: Path) -> list[tuple[list[float], list[float], float, int]]:
    """Knots, weights, threshold and n of every head, as they stand in the graph."""
    knots = read_knots(onnx.load(path))
    return [(k.values.tolist(), k.weights.tolist(), k.threshold, k.n) for k in knots]


def calibrate(path: Path, images: list[Path], alpha: float | None = None) -> None:
    """Calibrate in place on the CPU."""
    calibrate_artifact(path, images, alpha=alpha, provider="cpu")


def test_undo_restores_every_bit(path: Path, known: list[Path]) -> None:
    """Knots, thresholds, p-values, manifest and metadata are those of before."""
    before, metadata, answers = stored(path), Scorer(path).metadata, Scorer(path)(known)
    calibrate(path, known, 0.2)

    report = undo_calibration(path)

    restored = Scorer(path)(known)
    assert before == stored(path)
    assert metadata == Scorer(path).metadata
    assert metadata.calibration == report.after
    assert 0.2 == report.before.alpha
    for head in HEADS:
        assert answers.pvalues[head].tolist() == restored.pvalues[head].tolist()
        assert answers.decisions[head].tolist() == restored.decisions[head].tolist()


def test_undo_walks_back(path: Path, known: list[Path]) -> None:
    """Each time to the calibration before, until there is none."""
    states = [stored(path)]
    for n, alpha in ((30, 0.1), (60, 0.05), (120, 0.02)):
        calibrate(path, known[:n], alpha)
        states.append(stored(path))

    for expected in states[-2::-1]:
        undo_calibration(path)
        assert expected == stored(path)
    with pytest.raises(ArtifactError, match="no earlier calibration"):
        undo_calibration(path)


def test_undo_can_write_another_file(path: Path, known: list[Path], tmp_path: Path) -> None:
    """The artefact itself keeps its calibration."""
    before = stored(path)
    calibrate(path, known)
    after = path.read_bytes()

    undo_calibration(path, output=tmp_path / "y.onnx")

    assert after == path.read_bytes()
    assert before == stored(tmp_path / "y.onnx")


def change_calibration(path: Path, n: int, thresholds: dict[str, float]) -> None:
    """Make the metadata say what the graph has."""
    metadata = Scorer(path).metadata
    calibration = replace(metadata.calibration, n=n, thresholds=thresholds)
    model = onnx.load(path)
    store_metadata(model, replace(metadata, calibration=calibration))
    onnx.save(model, path)


def test_undo_restores_many_knots(path: Path, known: list[Path]) -> None:
    """More than 1,024 images are kept as weighted knots; those come back, too."""
    model = onnx.load(path)
    values = np.sort(np.random.default_rng(0).normal(size=(3, 1024)).astype(np.float32))
    weights = np.r_[np.full(512, 3), np.ones(512)].astype(np.float32)
    n = int(weights.sum())
    replace_knots(model, [Knots(v, weights, float(v[-40]), n) for v in values])
    onnx.save(model, path)
    before = stored(path)
    change_calibration(path, n, {h: float(v[-40]) for h, v in zip(HEADS, values, strict=True)})

    calibrate(path, known)
    undo_calibration(path)

    assert before == stored(path)


def test_the_history_is_bounded(path: Path, known: list[Path]) -> None:
    """Ten earlier calibrations are kept, so that a file does not grow for ever."""
    for n in range(20, 33):
        calibrate(path, known[:n])

    history = Scorer(path).metadata.history

    assert [22, 23, 24, 25, 26, 27, 28, 29, 30, 31] == [past.calibration.n for past in history]
