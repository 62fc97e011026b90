"""What is going to be trained on what is said in four lines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.run_directory import SPLITS, Run, RunConfig, Start
from edge_ood.training.settings import Settings
from edge_ood.training.summary import summary


def run_of(folder: Path, labels: list[int], classes: tuple[str, ...]) -> Run:
    """Training images of these labels, the first wider than the others, and two outliers."""
    paths = tuple(folder / f"{index}.png" for index in range(len(labels)))
    for index, path in enumerate(paths):
        Image.new("RGB", (40 if index else 64, 30)).save(path)
    sets = {split: ImageSet((), None, classes) for split in SPLITS}
    sets["training"] = ImageSet(paths, np.array(labels), classes)
    sets["outliers"] = ImageSet(paths[:2], None, classes)
    settings = Settings(Spec("wrn-10-1"), Spec("cross-entropy"), epochs=3, batch_size=8, seed=7)
    environment = {"device": "cpu", "threads": 2}
    return Run(folder, RunConfig(settings, classes, Preprocess(16), environment), sets)


def test_each_class_is_named_with_its_count(tmp_path: Path) -> None:
    """Few classes are listed as DATA has them, an empty one included."""
    found = summary(run_of(tmp_path, [0, 2, 2], ("ant", "bee", "cat")), 5, 1)

    assert "3: ant 1, bee 0, cat 2" == found["classes"]


def test_of_many_classes_the_smallest_and_the_largest_are_named(tmp_path: Path) -> None:
    """Twenty classes of one image, but for two of class 3."""
    names = tuple(f"c{index:02}" for index in range(20))

    found = summary(run_of(tmp_path, [*range(20), 3], names), 5, 1)

    assert "20, from 1 (c00) to 2 (c03) images" == found["classes"]


def test_images_are_counted_by_role_and_measured(tmp_path: Path) -> None:
    """The smallest and the largest size stand for all; splits without images are not mentioned."""
    found = summary(run_of(tmp_path, [0, 1, 1], ("ant", "bee")), 5, 1)

    assert "3 train; 40 x 30 to 64 x 30 px; 2 outliers" == found["images"]


def test_network_and_training_are_described(tmp_path: Path) -> None:
    """Parameters are those that the caller counted."""
    found = summary(run_of(tmp_path, [0, 1], ("ant", "bee")), 1_234, 5)

    assert found["network"].startswith("wrn-10-1, 1,234 parameters, 16 x 16 px; from random")
    assert (
        "cross-entropy, 3 epochs of 5 steps of 8 images; fp32 on cpu, 2 threads"
        == (found["training"])
    )


@pytest.mark.parametrize(
    ("start", "model", "expected"),
    [
        (None, "wrn-10-1", "random weights, drawn with seed 7"),
        (None, "mine:net", "the weights that mine:net makes"),
        (Start("runs/a", "ab"), "wrn-10-1", "the weights of runs/a"),
        (Start("", "ab", "'net.pth'"), "mine:net", "the weights of 'net.pth'"),
    ],
)
def test_first_weights_are_called_by_their_origin(
    tmp_path: Path, start: Start | None, model: str, expected: str
) -> None:
    """Code of the user's may load weights, so nothing it makes is called random."""
    config = run_of(tmp_path, [0, 1], ("ant", "bee")).config
    settings = replace(config.settings, model=Spec(model))

    assert expected == replace(config, settings=settings, start=start).first_weights
