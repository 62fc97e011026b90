"""Opening the artefacts that are compared."""

import shutil

import numpy as np
import pytest

from edge_ood.errors import ArtifactError, InputError
from edge_ood.evaluation.artifacts import open_artifacts
from edge_ood.images.folders import find_images
from edge_ood.runtime.calibrate import Changes, calibrate_artifact


@pytest.fixture
def namesakes(colour_artifact, tmp_path):
    """Two artefacts of one name that differ in their metadata."""
    paths = [tmp_path / folder / "made.onnx" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(colour_artifact, path)
    return paths


def recalibrated(path, colours, **changes):
    """The same classifier with other thresholds."""
    calibrate_artifact(path, find_images(colours / "calibration"), changes=Changes(**changes))


def test_names_are_stems_with_parents_where_needed(namesakes, colours, tmp_path):
    """Only artefacts whose stems are equal get their folder's name."""
    recalibrated(namesakes[1], colours, alpha=0.2)
    other = tmp_path / "two" / "other.v2.onnx"
    shutil.copy(namesakes[0], other)
    recalibrated(other, colours, alpha=0.3)

    artifacts = open_artifacts([*namesakes, other])

    assert ["one/made", "two/made", "other.v2"] == [artifact.name for artifact in artifacts]


def test_a_copy_is_refused(namesakes):
    """The same bytes under another name are no other artefact."""
    with pytest.raises(InputError, match=r"two/made\.onnx' is the same file as '.*one/made"):
        open_artifacts(namesakes)


def test_the_file_is_described(colour_artifact):
    """Its path as in score tables, size and hash."""
    (artifact,) = open_artifacts([colour_artifact])

    assert str(colour_artifact) == artifact.path
    assert colour_artifact.stat().st_size == artifact.n_bytes
    assert 64 == len(artifact.sha256)


def test_one_threshold_stands_for_every_class(colour_artifact):
    """Without thresholds per class, each class has the metadata's, to the bit."""
    (artifact,) = open_artifacts([colour_artifact])

    stored = artifact.scorer.metadata.calibration.thresholds
    assert {head: (stored[head],) * 3 for head in artifact.scorer.heads} == artifact.thresholds


def test_thresholds_of_classes_are_those_that_decide(namesakes, colours):
    """Per class, scores above the threshold of the predicted class are the ones flagged."""
    recalibrated(namesakes[0], colours, per_class=True)
    (artifact,) = open_artifacts(namesakes[:1])
    scores = artifact.scorer([colours / "test"])

    for head, limits in artifact.thresholds.items():
        flagged = scores.scores[head] > np.array(limits)[scores.label_index]
        np.testing.assert_array_equal(scores.decisions[head], flagged)


def test_a_missing_file_is_named(tmp_path):
    """As everywhere else."""
    with pytest.raises(ArtifactError, match="nowhere"):
        open_artifacts([tmp_path / "nowhere.onnx"])
