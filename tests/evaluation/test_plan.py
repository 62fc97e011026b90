"""What is settled before anything is scored."""

import shutil

import numpy as np
import pytest

from edge_ood.errors import DataError, InputError
from edge_ood.evaluation.artifacts import open_artifacts
from edge_ood.evaluation.corrupted import parse_corruptions
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.sets import parse_sets
from edge_ood.images.folders import ImageSet, find_images, read_images
from edge_ood.runtime.calibrate import Changes, calibrate_artifact


@pytest.fixture
def artifacts(colour_artifact, colours, tmp_path):
    """One classifier with two calibrations."""
    other = shutil.copy(colour_artifact, tmp_path / "other.onnx")
    calibrate_artifact(other, find_images(colours / "calibration"), changes=Changes(alpha=0.2))
    return open_artifacts([colour_artifact, other])


def test_files_are_read_once_for_all_artefacts(artifacts, colours, tmp_path):
    """Each artefact has the same files, and synthetic images of its own; all are counted."""
    shutil.copytree(colours / "train", tmp_path / "others")
    id_images = read_images(colours / "test")
    sets = parse_sets(["gaussian:count=5", f"{tmp_path}/others"])

    corrupted = parse_corruptions("blur:count=4,noise")
    plan = plan_evaluation(
        artifacts, "test", id_images, sets, corrupted=corrupted, allow_overlap=True
    )

    one, two = plan.tasks
    assert one.ood["others"] is two.ood["others"]
    assert one.ood["gaussian"] is not two.ood["gaussian"]
    assert 2 * (len(id_images) + 60 + 5 + 5 * (4 + len(id_images))) == plan.n_images
    assert [{"training": 60}, {}] == [one.overlap_counts("others"), one.overlap_counts("gaussian")]


def test_a_synthetic_image_can_be_shown(artifacts, colours):
    """By its name in results; a file, ID or OOD, is none."""
    sets = parse_sets(["gaussian:count=5", f"files={colours / 'calibration'}"])
    plan = plan_evaluation(artifacts, "", read_images(colours / "test"), sets, allow_overlap=True)
    everything = plan.tasks[0].ood["gaussian"].frames(range(5))

    np.testing.assert_array_equal(everything[3], plan.synthetic_image(0, "gaussian", "#3"))
    assert plan.synthetic_image(0, "files", "./x.png") is None
    assert plan.synthetic_image(0, "", "./x.png") is None


def test_an_empty_set_is_named(artifacts, colours):
    """The ID images, before anything is scored."""
    with pytest.raises(DataError, match="set 'ID' has no images"):
        plan_evaluation(artifacts, "", ImageSet(()), [])


def test_images_that_cannot_be_made_are_an_error_first(artifacts, colours):
    """More altered or corrupted images than there are ID images."""
    id_images = read_images(colours / "test")

    with pytest.raises(InputError, match="from 19 ID images, and there are 18"):
        plan_evaluation(artifacts, "", id_images, parse_sets(["inverted:count=19"]))
    with pytest.raises(InputError, match="from 19 ID images, and there are 18"):
        plan_evaluation(artifacts, "", id_images, [], corrupted=parse_corruptions("blur:count=19"))
