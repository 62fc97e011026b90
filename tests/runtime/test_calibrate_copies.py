"""An image calibrates once, however many copies of it there are."""

import shutil
from pathlib import Path

import pytest

import edge_ood
from edge_ood.artifact.calibration_record import Calibration
from edge_ood.errors import CalibrationError
from edge_ood.runtime.scorer import Scorer


def calibrated(artifact: Path, images: Path, **options: object) -> tuple[Calibration, list[str]]:
    """The calibration by a folder, and what was said about it."""
    notes: list[str] = []
    report = edge_ood.calibrate(
        artifact,
        images,
        output=artifact.parent / "x.onnx",
        provider="cpu",
        force=True,
        on_note=notes.append,
        **options,  # type: ignore[arg-type]
    )
    assert report.scores is not None
    assert report.after.n == len(report.scores) == len(report.scores.paths)
    return Scorer(report.path, provider="cpu").metadata.calibration, notes


@pytest.fixture
def artifact(colour_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(colour_artifact, tmp_path / "a.onnx"))


def test_copies_move_no_threshold(artifact: Path, colours: Path, tmp_path: Path) -> None:
    """60 images are 60, with 30 copies of one among them, too."""
    images = Path(shutil.copytree(colours / "calibration", tmp_path / "images"))
    alone, _ = calibrated(artifact, images)
    first = min(images.rglob("*.png"))
    for index in range(30):
        shutil.copy(first, first.with_name(f"{first.stem}b{index:02d}.png"))

    found, notes = calibrated(artifact, images)

    assert (60, alone.thresholds) == (found.n, found.thresholds)
    expected = "left out, as copies among the calibration images: 30 of 90, the first is"
    assert f"{expected} '{first.with_name(f'{first.stem}b00.png')}'" in notes


def test_copies_do_not_make_images_enough(artifact: Path, colours: Path, tmp_path: Path) -> None:
    """18 images and a copy of each are too few for 0.05, and why is said."""
    images = tmp_path / "images"
    images.mkdir()
    for index, path in enumerate(sorted((colours / "calibration").rglob("*.png"))[:18]):
        shutil.copy(path, images / f"{index}.png")
        shutil.copy(path, images / f"{index}b.png")

    with pytest.raises(CalibrationError, match="of 36 files 18 are copies of others"):
        calibrated(artifact, images, alpha=0.05)
