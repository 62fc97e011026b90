"""What is done with an artefact is done with the bytes that were opened, or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edge_ood.errors import ArtifactError, EdgeOodError
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import calibrate_artifact, set_thresholds, undo_calibration
from edge_ood.runtime.scorer import Scorer


@pytest.fixture
def artifact(colour_artifact: Path, tmp_path: Path) -> Path:
    """A copy to change, calibrated once more so that there is something to undo."""
    path = Path(shutil.copy(colour_artifact, tmp_path / "x.onnx"))
    return path


@pytest.fixture
def other(colour_artifact: Path, tmp_path: Path) -> Path:
    """The same artefact around another network: its last layer's weights are halved."""
    model = onnx.load(colour_artifact)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if tensor.name.endswith("linear"):
            tensor.CopyFrom(numpy_helper.from_array((array / 2).astype(np.float32), tensor.name))
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_that_is_replaced_amid_a_calibration_stays(
    artifact: Path, other: Path, colours: Path
) -> None:
    """Its new network must not get thresholds of the old one."""
    content = other.read_bytes()

    def replace_once() -> None:
        if other.exists():
            other.replace(artifact)

    with pytest.raises(ArtifactError, match="was replaced meanwhile"):
        calibrate_artifact(
            artifact,
            find_images(colours / "calibration"),
            provider="cpu",
            on_image=replace_once,
        )

    assert content == artifact.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda path: set_thresholds(path, {"energy": -4.5}),
        lambda path: undo_calibration(path),
        lambda path: Scorer(path, provider="cpu", heads=["energy"]),
    ],
    ids=["threshold", "undo", "heads"],
)
def test_whatever_reads_the_file_again_sees_that_it_is_another(
    change: Callable[[Path], object],
    artifact: Path,
    other: Path,
    colours: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replacement between opening and rewriting is refused."""
    images = find_images(colours / "calibration")
    calibrate_artifact(artifact, images, provider="cpu")
    from edge_ood.runtime import artifact_session

    opened = artifact_session.open_session

    def open_and_replace(content: object, **options: object) -> object:
        if other.exists():
            other.replace(artifact)
        return opened(content, **options)

    monkeypatch.setattr(artifact_session, "open_session", open_and_replace)

    with pytest.raises(ArtifactError, match="was replaced meanwhile"):
        change(artifact)


def test_no_calibration_is_lost(artifact: Path, colours: Path) -> None:
    """Of several at a time, as many are in the history as said that they succeeded."""
    images = find_images(colours / "calibration")
    before = len(Scorer(artifact, provider="cpu").metadata.history)
    outcomes: list[str] = []

    def calibrate() -> None:
        try:
            calibrate_artifact(artifact, images, provider="cpu")
            outcomes.append("done")
        except EdgeOodError as error:
            outcomes.append(str(error))

    threads = [Thread(target=calibrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    after = len(Scorer(artifact, provider="cpu").metadata.history)
    assert 4 == len(outcomes)
    assert after - before == outcomes.count("done") >= 1
    assert all("was replaced meanwhile" in said for said in outcomes if said != "done")


def test_weights_outside_the_file_are_refused_before_it_is_opened(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No session sees such a file, with any heads."""
    from edge_ood.runtime import artifact_session

    model = onnx.load(artifact)
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    artifact.write_bytes(model.SerializeToString())
    monkeypatch.setattr(artifact_session, "open_session", pytest.fail)

    with pytest.raises(ArtifactError, match="has weights that lie outside the file"):
        Scorer(artifact, provider="cpu")


def test_the_hash_is_of_the_bytes_that_were_opened(artifact: Path, other: Path) -> None:
    """What a score table records does not change with the file."""
    from edge_ood.files.paths import file_sha256

    digest, size = file_sha256(artifact), artifact.stat().st_size
    scorer = Scorer(artifact, provider="cpu")

    other.replace(artifact)

    assert (digest, size) == (scorer.file.sha256, scorer.file.n_bytes)
