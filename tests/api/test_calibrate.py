"""`edge_ood.calibrate` moves thresholds by images, by hand and back."""

import shutil
from pathlib import Path

import pytest

import edge_ood
from edge_ood.errors import UsageError
from edge_ood.runtime.scorer import Scorer


@pytest.fixture
def artifact(colour_artifact: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))


def test_images_set_the_thresholds(artifact: Path, colours: Path) -> None:
    """The rate that was asked for is held from now on, and each image moves the bar on."""
    totals: list[int] = []

    report = edge_ood.calibrate(
        artifact, str(colours / "calibration"), alpha=0.2, provider="cpu", on_image=totals.append
    )

    assert (0.05, 0.2) == (report.before.alpha, report.after.alpha)
    assert [60] * 60 == totals
    assert 0.2 == Scorer(artifact, provider="cpu").metadata.calibration.alpha


def test_a_threshold_by_hand_and_back(artifact: Path) -> None:
    """`undo` restores the file to the bit, but for what the history says."""
    before = Scorer(artifact, provider="cpu").metadata.calibration

    edge_ood.calibrate(artifact, thresholds={"energy": -4.5})
    by_hand = Scorer(artifact, provider="cpu").metadata.calibration
    edge_ood.calibrate(artifact, undo=True)

    assert -4.5 == by_hand.thresholds["energy"]
    assert before == Scorer(artifact, provider="cpu").metadata.calibration


def test_an_output_leaves_the_file_alone(artifact: Path, colours: Path, tmp_path: Path) -> None:
    """With `output` the artefact itself is only read."""
    content = artifact.read_bytes()

    edge_ood.calibrate(
        artifact, colours / "calibration", output=tmp_path / "y.onnx", provider="cpu"
    )

    assert content == artifact.read_bytes()
    assert (tmp_path / "y.onnx").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give a folder of ID images, or --threshold or --undo alone"),
        ({"alpha": 0.1}, "give a folder of ID images"),
        ({"undo": True, "alpha": 0.1}, "without images and other options"),
    ],
)
def test_nothing_to_calibrate_by_is_refused(
    options: dict[str, object], message: str, artifact: Path
) -> None:
    """A rate alone says nothing about scores."""
    with pytest.raises(UsageError, match=message):
        edge_ood.calibrate(artifact, **options)
