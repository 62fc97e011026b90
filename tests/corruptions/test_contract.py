"""What every corruption keeps: a new file gets this battery by its name."""

import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.corruptions import CORRUPTIONS, STRENGTHS

corruptions = pytest.mark.parametrize("name", CORRUPTIONS.names())


def photographs(size_px: int, count: int = 6) -> np.ndarray:
    """Images with large and small structure, in whole levels, (N, S, S, 3)."""
    generator = np.random.default_rng(size_px)
    noise = generator.normal(size=(count, size_px, size_px, 3))
    layers = [gaussian_filter(noise, (0, s, s, 0), mode="wrap") * s for s in (0.5, 1, 3, 6)]
    image = 0.45 + 0.1 * sum(layers)
    return np.asarray(np.rint(255 * np.clip(image, 0, 1)) / 255)


def corrupted(name: str, images: np.ndarray, strength: int, seed: int = 0) -> np.ndarray:
    """The images at one strength, each with a generator of its own."""
    corruption = CORRUPTIONS.get(name)
    constant = corruption.constant(strength, images.shape[1])
    generators = [np.random.default_rng([seed, index]) for index in range(len(images))]
    return np.stack(
        [corruption.corrupt(g, i, constant) for g, i in zip(generators, images, strict=True)]
    )


@corruptions
def test_the_object_bears_the_name_of_its_file(name: str) -> None:
    """The command line, the file and the object agree on the name."""
    assert name == CORRUPTIONS.get(name).name


@corruptions
def test_the_docstring_has_shape_and_source(name: str) -> None:
    """Shapes and paper, or ourselves, stand beside the code, what a constant is in the object."""
    corruption = CORRUPTIONS.get(name)

    assert "(S, S, 3)" in corruption.corrupt.__doc__
    assert re.search(r"arXiv:\d{4}\.\d{5}|Source: this project", corruption.corrupt.__doc__)
    assert re.search(r"20\d\d|this project", corruption.source)
    assert corruption.unit


@corruptions
def test_constants_rise_or_fall_throughout(name: str) -> None:
    """Five of them for every published side, in one direction."""
    for constants in CORRUPTIONS.get(name).constants.values():
        assert 5 == len(constants)
        steps = set(np.sign(np.diff(constants)))
        assert steps in ({1.0}, {-1.0})


@corruptions
@pytest.mark.parametrize("size_px", [1, 2, 7, 33])
def test_any_size_can_be_corrupted(name: str, size_px: int) -> None:
    """Values stay in [0, 1], the shape as it is, and the image that was given, too."""
    images = photographs(size_px)
    before = images.copy()

    for strength in STRENGTHS:
        found = corrupted(name, images, strength)

        assert images.shape == found.shape
        assert np.float64 == found.dtype
        assert found.min() >= 0
        assert found.max() <= 1
    np.testing.assert_array_equal(before, images)


@corruptions
@pytest.mark.parametrize("size_px", [8, 32, 64, 128, 224])
def test_each_strength_is_further_from_the_image(name: str, size_px: int) -> None:
    """The mean square distance in whole levels grows from none to that of the fifth strength."""
    images = photographs(size_px)
    found = [np.rint(255 * corrupted(name, images, strength)) for strength in STRENGTHS]

    distances = [0.0, *(np.square(one - 255 * images).mean() for one in found)]

    assert (np.diff(distances) > 0).all()


@corruptions
def test_draws_come_from_the_generator_alone(name: str) -> None:
    """The same generator makes the same image again."""
    images = photographs(16)

    np.testing.assert_array_equal(corrupted(name, images, 3), corrupted(name, images, 3))


def test_the_help_lists_every_corruption() -> None:
    """`edge-ood evaluate --help` has them, wrapped as it may be."""
    result = CliRunner().invoke(app, ["evaluate", "--help"])

    listed = "".join(result.stdout.split()).partition("someof")[2].partition(";")[0]
    assert CORRUPTIONS.names() == listed.split(",")
