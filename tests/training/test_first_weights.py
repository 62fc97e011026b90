"""Weights of any origin: what they fill, and which images they keep from which role."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_ood.errors import ArtifactError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import Classifier, build_classifier
from edge_ood.registry import Spec
from edge_ood.training.fine_tuning import Past
from edge_ood.training.first_weights import RANDOM, FirstWeights, first_weights
from edge_ood.training.settings import Settings
from edge_ood.training.training_set import Folders, plan_splits, read_training_set

CLASSES = 3
SIDE = 8


def drawn(seed: int, heads: int = 1) -> Classifier:
    torch.manual_seed(seed)
    return build_classifier("wrn-10-1", CLASSES, heads=heads)


def test_random_weights_stay_as_they_were_drawn() -> None:
    """Filling a classifier with none changes no bit."""
    classifier = drawn(0)

    RANDOM.fill(classifier)

    expected, found = drawn(0).state_dict(), classifier.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_trunk_without_heads_leaves_the_heads_as_they_were_drawn() -> None:
    """Weights that were trained on other classes bring a trunk, and new heads begin."""
    trained, classifier = drawn(1), drawn(0, heads=2)

    FirstWeights(trunk=trained.trunk.state_dict()).fill(classifier)

    parts = ((trained.trunk, classifier.trunk), (drawn(0, heads=2).heads, classifier.heads))
    for expected, found in parts:
        weights = found.state_dict()
        assert all(torch.equal(w, weights[name]) for name, w in expected.state_dict().items())


def test_no_run_means_random_weights() -> None:
    """Without --from nothing is imposed: not the preprocessing, not a class, not a role."""
    settings = Settings(Spec("wrn-10-1"), Spec("cross-entropy"))

    assert RANDOM is first_weights(None, settings, Preprocess(SIDE))
    assert (None, None, None) == (RANDOM.preprocess, RANDOM.record, RANDOM.past.classes)
    assert ({}, {}) == (RANDOM.past.trained_on, RANDOM.past.kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize": "stretch"}, "its resize policy is center-crop, expected stretch"),
        ({"crop": 0.5}, r"its crop share is 1\.0, expected 0\.5"),
        ({"interpolation": "bicubic"}, "its interpolation is bilinear, expected bicubic"),
    ],
)
def test_another_preprocessing_is_refused(
    run_path: Path, change: dict[str, Any], message: str
) -> None:
    """The trunk has learned images that were cut, not stretched, and all of each."""
    settings = Settings(Spec("wrn-10-1", {"dropout": 0.0}), Spec("cross-entropy"), heads=2)

    with pytest.raises(InputError, match=message):
        first_weights(run_path, settings, replace(Preprocess(SIDE), **change))


def test_damaged_weights_are_refused_at_the_door(run_path: Path, tmp_path: Path) -> None:
    """Half a weight file stops training before an image is decoded."""
    run = Path(shutil.copytree(run_path, tmp_path / "run"))
    os.truncate(run / "model.safetensors", 1000)
    settings = Settings(Spec("wrn-10-1", {"dropout": 0.0}), Spec("cross-entropy"), heads=2)

    with pytest.raises(ArtifactError, match=r"model\.safetensors' is damaged"):
        first_weights(run, settings, Preprocess(SIDE))


def test_weights_of_unknown_images_leave_every_split_to_the_draw(tiny_images: Path) -> None:
    """A past without roles changes nothing about who trains, calibrates and validates."""
    folders = Folders(tiny_images / "train")

    splits = plan_splits(folders, 0, Past("'weights.pth'"))

    for role, images in plan_splits(folders, 0).items():
        assert images.paths == splits[role].paths


def test_a_drawn_image_that_trained_the_weights_calibrates_nothing(
    tiny_images: Path, tmp_path: Path
) -> None:
    """Weights may say what trained them without saying what calibrated them."""
    folders, preprocess = Folders(tiny_images / "train"), Preprocess(SIDE)
    before = read_training_set(folders, preprocess, 0, tmp_path).splits["calibration"]
    past = Past("'weights.pth'", trained_on={before.hashes[0]: before.paths[0]})

    found = read_training_set(folders, preprocess, 0, tmp_path, past=past)

    assert set(before.hashes[1:]) == set(found.splits["calibration"].hashes)
    assert (before.paths[0],) == found.splits["pretraining"].paths
    assert "1 of 4 calibration images" in found.notes[0]
