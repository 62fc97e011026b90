"""Crop share and interpolation by labelled images: moved only by what is beyond chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_ood.foreign.conventions import Convention, ForeignNetwork
from edge_ood.foreign.geometry import Comparison, LabelledRounds, choose_geometry
from edge_ood.foreign.mcnemar import is_better
from edge_ood.graph.intake import ImageInput
from edge_ood.images.folders import ImageSet, read_class_folders
from edge_ood.images.preprocess import Preprocess

PLAIN = Convention(Preprocess(8), "rgb", ImageInput("x", 1, "nchw", 3, 8, None))
PER_CLASS = 150
ROUND, FIRST = 128, 32


class Scripted(ForeignNetwork):
    """Says of each number in an image's red whether it knows the class in its green."""

    def __init__(self, known: Mapping[tuple[float, str], range]) -> None:
        self.known = known
        self.shown = 0

    def __call__(self, pixels: np.ndarray, convention: Convention) -> np.ndarray:
        """Rows (N, 2)."""
        self.shown += len(pixels)
        preprocess = convention.preprocess
        known = self.known.get((preprocess.crop, preprocess.interpolation), range(100))
        right = np.isin(pixels[:, 0, 0, 0], known)
        label = pixels[:, 0, 0, 1] // 255
        return np.eye(2)[np.where(right, label, 1 - label)]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """150 images in each of two classes: one colour each, of the number and the class."""
    folder = tmp_path_factory.mktemp("numbered")
    for label, name in enumerate("ab"):
        (folder / name).mkdir()
        for number in range(PER_CLASS):
            colour = (number, 255 * label, 0)
            Image.new("RGB", (16, 16), colour).save(folder / name / f"{number:03}.png")
    return read_class_folders(folder)


def chosen(
    numbered: ImageSet, known: Mapping[tuple[float, str], range], *options: str
) -> tuple[Any, list[Comparison], int]:
    """Preprocessing, comparisons, and how many images the network was shown."""
    network = Scripted(known)
    first = numbered.subset(np.arange(ROUND).reshape(FIRST, -1).T.ravel())  # every fourth, then
    found, compared = choose_geometry(
        LabelledRounds(network, first, numbered), PLAIN, options or ("crop", "interpolation")
    )
    return found.preprocess, compared, network.shown


def test_a_clear_gain_moves_the_crop(numbered: ImageSet) -> None:
    """Nothing but the central part tells: 32 images are enough, and the sentence has numbers."""
    known = {(1.0, "bilinear"): range(50), (0.875, "bilinear"): range(120)}

    found, (compared,), shown = chosen(numbered, known, "crop")

    assert (0.875, "bilinear") == (found.crop, found.interpolation)
    assert "32 labelled images: 17 known only so, 0 only with 1" == compared.evidence
    assert 2 * FIRST == shown


def test_ties_keep_the_plain_choice_and_are_said(numbered: ImageSet) -> None:
    """As many gained as lost: 32 images are enough, and the plain pass is not run twice."""
    known = {(0.875, "bilinear"): range(4, 104)}

    found, compared, shown = chosen(numbered, known)

    assert PLAIN.preprocess == found
    assert [
        ("--crop", "1", "32 labelled images do not tell: 1 known only so, 1 only with 0.875"),
        (
            "--interpolation",
            "bilinear",
            "32 labelled images do not tell: 0 known only so, 0 only with bicubic",
        ),
    ] == [(each.option, each.value, each.evidence) for each in compared]
    assert 3 * FIRST == shown


def test_a_promising_gain_is_looked_at_on_all_images(numbered: ImageSet) -> None:
    """Five of 128 are beyond chance, though not clear at once; later images decide."""
    known = {(0.875, "bilinear"): range(105)}

    found, (compared,), shown = chosen(numbered, known, "crop")

    assert 0.875 == found.crop
    assert (300, 10, 0) == (compared.n, compared.gained, compared.lost)
    assert 2 * 300 == shown


def test_interpolation_is_chosen_with_the_crop_that_was(numbered: ImageSet) -> None:
    """Bicubic is better with the crop alone, and is found with it."""
    known = {(0.875, "bilinear"): range(112), (0.875, "bicubic"): range(125)}

    found, compared, _ = chosen(numbered, known)

    assert (0.875, "bicubic") == (found.crop, found.interpolation)
    assert [True, True] == [each.measured for each in compared]


@pytest.mark.parametrize(
    ("gained", "lost", "better"), [(5, 0, True), (4, 0, False), (9, 3, False), (11, 3, True)]
)
def test_mcnemar(gained: int, lost: int, better: bool) -> None:
    """Two standard deviations of a coin that is thrown for each image on which they differ."""
    right = np.array([True] * gained + [False] * lost + [True, False])
    than = np.array([False] * gained + [True] * lost + [True, False])

    assert better == is_better(right, than=than)
