"""What is settled before anything is scored."""

import shutil

import numpy as np
import pytest

from edge_ood.errors import DataError, InputError
from edge_ood.evaluation.corrupted import parse_corruptions
from edge_ood.evaluation.models import open_models
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.sets import parse_sets
from edge_ood.images.folders import ImageSet, find_images, read_images
from edge_ood.runtime.calibrate import Changes, calibrate_artifact


@pytest.fixture
def models(colour_artifact, colours, tmp_path):
    """One classifier with two calibrations."""
    other = shutil.copy(colour_artifact, tmp_path / "other.onnx")
    calibrate_artifact(other, find_images(colours / "calibration"), changes=Changes(alpha=0.2))
    return open_models([colour_artifact, other])


def test_files_are_read_once_for_all_artefacts(models, colours, tmp_path):
    """Each artefact has the same files, and made images of its own; all are counted."""
    shutil.copytree(colours / "train", tmp_path / "foreign")
    known = read_images(colours / "test")
    sets = parse_sets(["gaussian:count=5", f"{tmp_path}/foreign"])

    spoilt = parse_corruptions("blur:count=4,noise")
    plan = plan_evaluation(models, "test", known, sets, corrupted=spoilt, allow_seen=True)

    one, two = plan.tasks
    assert one.ood["foreign"] is two.ood["foreign"]
    assert one.ood["gaussian"] is not two.ood["gaussian"]
    assert 2 * (len(known) + 60 + 5 + 5 * (4 + len(known))) == plan.n_images
    assert [{"training": 60}, {}] == [one.seen_counts("foreign"), one.seen_counts("gaussian")]


def test_a_made_image_can_be_shown(models, colours):
    """By its name in results; a file, known or foreign, is none."""
    sets = parse_sets(["gaussian:count=5", f"files={colours / 'calibration'}"])
    plan = plan_evaluation(models, "", read_images(colours / "test"), sets, allow_seen=True)
    everything = plan.tasks[0].ood["gaussian"].frames(range(5))

    np.testing.assert_array_equal(everything[3], plan.made_image(0, "gaussian", "#3"))
    assert plan.made_image(0, "files", "./x.png") is None
    assert plan.made_image(0, "", "./x.png") is None


def test_an_empty_set_is_named(models, colours):
    """The known images, before anything is scored."""
    with pytest.raises(DataError, match="set 'ID' has no images"):
        plan_evaluation(models, "", ImageSet(()), [])


def test_images_that_cannot_be_made_are_an_error_first(models, colours):
    """More altered or spoilt images than there are known ones."""
    known = read_images(colours / "test")

    with pytest.raises(InputError, match="from 19 known images, and there are 18"):
        plan_evaluation(models, "", known, parse_sets(["inverted:count=19"]))
    with pytest.raises(InputError, match="from 19 known images, and there are 18"):
        plan_evaluation(models, "", known, [], corrupted=parse_corruptions("blur:count=19"))
