"""Going back: every earlier calibration comes back to the bit, until there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from edge_ood.artifact.metadata import store_metadata
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.decision_table import DecisionTable
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import ArtifactError
from edge_ood.graph.decision import with_decision
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import calibrate_artifact, undo_calibration
from edge_ood.runtime.scorer import Scorer

HEADS = ("energy", "msp", "uniform_ce")


@pytest.fixture
def known(colours: Path, tmp_path: Path) -> list[Path]:
    """120 images: the artefact's own calibration images, and each of them upside down."""
    given = find_images(colours / "calibration")
    folder = tmp_path / "turned"
    folder.mkdir()
    for index, path in enumerate(given):
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_180).save(folder / f"{index:02d}.png")
    return [*given, *find_images(folder)]


def stored(path: Path) -> dict[str, list[float]]:
    """Thresholds, knots and p-values, as they stand in the graph."""
    return {
        tensor.name: numpy_helper.to_array(tensor).tolist()
        for tensor in onnx.load(path).graph.initializer
        if tensor.name in ("thresholds", "knots", "pvalues", "groups")
    }


def calibrate(path: Path, images: list[Path], alpha: float | None = None) -> None:
    """Calibrate in place on the CPU."""
    calibrate_artifact(path, images, changes=Changes(alpha), provider="cpu")


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
    """As many knots as a file may have, with p-values of their own; those come back, too."""
    generator = np.random.default_rng(0)
    values = np.sort(generator.normal(size=(3, 1, 1024)).astype(np.float32))
    pvalues = np.sort(generator.random((1, 1025)).astype(np.float32))
    thresholds = values[:, :, -40]
    table = DecisionTable(HEADS, thresholds, values, pvalues, np.zeros(3, np.int64))
    decision = Decision(table)
    model = with_decision(onnx.load(path), decision, primary="energy")
    store_metadata(model, Scorer(path).metadata)
    onnx.save(model, path)
    before = stored(path)
    change_calibration(path, 1536, dict(zip(HEADS, thresholds[:, 0].tolist(), strict=True)))

    calibrate(path, known)
    undo_calibration(path)

    assert before == stored(path)
    assert values.tolist() == before["knots"]
    assert pvalues.ravel().tolist() == before["pvalues"]


def test_the_history_is_bounded(path: Path, known: list[Path]) -> None:
    """Ten earlier calibrations are kept, so that a file does not grow for ever."""
    for n in range(20, 33):
        calibrate(path, known[:n])

    history = Scorer(path).metadata.history

    assert [22, 23, 24, 25, 26, 27, 28, 29, 30, 31] == [past.calibration.n for past in history]


def test_the_history_of_large_calibrations_is_shorter(
    path: Path, known: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thresholds of a thousand classes take megabytes; the last one is always kept."""
    calibrate(path, known)
    size = Scorer(path).metadata.history[0].packed_bytes
    monkeypatch.setattr("edge_ood.runtime.calibrate._MOST_HISTORY_BYTES", 3 * size)
    lengths = []

    for _ in range(5):
        calibrate(path, known)
        lengths.append(len(Scorer(path).metadata.history))
    monkeypatch.setattr("edge_ood.runtime.calibrate._MOST_HISTORY_BYTES", 1)
    calibrate(path, known)

    assert lengths[-1] == lengths[-2] < 3
    assert 1 == len(Scorer(path).metadata.history)


def test_undo_restores_every_kind_of_calibration(path: Path, known: list[Path]) -> None:
    """Per class, combined, with confidence, with a threshold of one's own, each to the bit."""
    kinds = (
        Changes(per_class=True),
        Changes(combined=True),
        Changes(confidence=0.5),
        Changes(thresholds={"combined": 3.0, "msp": 0.5}),
        Changes(per_class=False, combined=False),
    )
    states = [(everything_stored(path), Scorer(path).metadata.calibration)]
    for changes in kinds:
        calibrate_artifact(path, known, changes=changes, provider="cpu")
        states.append((everything_stored(path), Scorer(path).metadata.calibration))

    for expected in states[-2::-1]:
        undo_calibration(path)
        assert expected == (everything_stored(path), Scorer(path).metadata.calibration)


def everything_stored(path: Path) -> bytes:
    """The graph but for its metadata."""
    model = onnx.load(path)
    del model.metadata_props[:]
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph
