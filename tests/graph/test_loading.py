"""Reading an artefact to rewrite it: a sound file to the bit, a damaged one not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edge_ood.errors import ArtifactError
from edge_ood.graph.budget import size_budget
from edge_ood.graph.intake import read_model
from edge_ood.graph.loading import load_model_file
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import calibrate_artifact
from edge_ood.runtime.scorer import Scorer

# Fields of a ModelProto, appended: the last one of its kind counts.
STRAY_PRODUCER = b"\x12\x03a\xff\xfe"
STRAY_OPSET_DOMAIN = b"\x42\x05\x0a\x03a\xff\xfe"


@pytest.fixture
def broken(colour_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the artefact that names a producer who is no text; onnxruntime does not mind."""
    path = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    path.write_bytes(path.read_bytes() + STRAY_PRODUCER)
    return path


def test_a_sound_file_is_read_as_it_is(colour_artifact: Path) -> None:
    """Nothing is lost."""
    assert onnx.load(colour_artifact) == load_model_file(colour_artifact)


@pytest.mark.parametrize("damage", [STRAY_PRODUCER, STRAY_OPSET_DOMAIN, b"\x12\x03a"])
def test_a_damaged_file_is_refused(colour_artifact: Path, tmp_path: Path, damage: bytes) -> None:
    """Stray bytes in a text, at the top or inside, and a field that is cut off."""
    path = tmp_path / "x.onnx"
    path.write_bytes(colour_artifact.read_bytes() + damage)

    with pytest.raises(ArtifactError, match=r"x\.onnx' is damaged: ") as caught:
        load_model_file(path)

    assert "export it again" == caught.value.hint


def narrow(path: Path, _: Path) -> None:
    """Compute some heads only."""
    Scorer(path, heads=["energy"])


def measure(path: Path, _: Path) -> None:
    """Say where the bytes are."""
    size_budget(path, ("energy", "msp", "uniform_ce"))


def recalibrate(path: Path, images: Path) -> None:
    """Change the thresholds."""
    calibrate_artifact(path, find_images(images / "calibration"), provider="cpu")


@pytest.mark.parametrize("use", [narrow, measure, recalibrate])
def test_who_rewrites_a_damaged_file_refuses_it(
    use: Callable[[Path, Path], None], broken: Path, colours: Path
) -> None:
    """Scoring it works, and what cannot be done ends in an error of ours."""
    assert Scorer(broken)(find_images(colours / "test")).label
    before = broken.read_bytes()

    with pytest.raises(ArtifactError, match="is damaged"):
        use(broken, colours)

    assert before == broken.read_bytes()


def test_a_damaged_network_is_refused(colour_classifier: onnx.ModelProto, tmp_path: Path) -> None:
    """Somebody else's file, before anything is attached to it."""
    path = tmp_path / "x.onnx"
    path.write_bytes(colour_classifier.SerializeToString() + STRAY_PRODUCER)

    with pytest.raises(ArtifactError, match=r"x\.onnx' .*a name in it is no text"):
        read_model(path)
