"""Copies within a test set, and sets that share images, are warned of."""

import shutil
import warnings
from pathlib import Path

import pytest

from edge_ood.evaluation.artifacts import open_artifacts
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.evaluation.sets import parse_sets
from edge_ood.evaluation.shared_images import SharedImagesWarning, warn_of_shared_images
from edge_ood.images.folders import ImageSet, read_images


def images(names: str) -> ImageSet:
    """A file for each letter, which is its content."""
    return ImageSet(tuple(Path(f"/{i}{c}.png") for i, c in enumerate(names)), hashes=tuple(names))


def said(**sets: str) -> list[str]:
    """What is warned of; `ID` is the ID set, and the others are OOD sets."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        called = {n: f"the OOD set {n!r}" for n in sets} | {"ID": "the ID set"}
        warn_of_shared_images({called[n]: images(s) for n, s in sets.items()})
    assert all(issubclass(warning.category, SharedImagesWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"ID": "abc", "far": "xbcy"}, "the ID set and the OOD set 'far' share 2 images, such as"),
        ({"near": "abc", "far": "cba"}, "'near' and the OOD set 'far' hold the same 3 images"),
        ({"ID": "abbb", "far": "x"}, "2 of 4 images of the ID set are copies of others, such as"),
    ],
)
def test_sets_that_are_no_images_of_their_own_are_named(
    sets: dict[str, str], expected: str
) -> None:
    """With the number of images, by content."""
    (message,) = said(**sets)

    assert expected in message
    assert ".png'" in message


def test_sets_of_their_own_are_not_warned_of() -> None:
    """Each image is in one set, once."""
    assert [] == said(ID="abc", near="def", far="g")


def test_a_plan_warns_before_anything_is_scored(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """The ID images again as OOD images, all of which are scored."""
    again = Path(shutil.copytree(colours / "test", tmp_path / "again"))
    id_images = read_images(colours / "test")

    with pytest.warns(SharedImagesWarning, match=r"'again' hold the same 18 images"):
        plan = plan_evaluation(
            open_artifacts([colour_artifact]), "", id_images, parse_sets([str(again)])
        )

    assert 36 == plan.n_images
