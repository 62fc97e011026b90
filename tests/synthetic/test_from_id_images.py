"""Kinds that alter ID images, by hand and in closed form."""

import numpy as np
import pytest

from edge_ood.synthetic.arithmetic_mean import arithmetic_mean
from edge_ood.synthetic.geometric_mean import geometric_mean
from edge_ood.synthetic.inverted import inverted
from edge_ood.synthetic.jigsaw import jigsaw
from edge_ood.synthetic.pixelated import pixelated
from edge_ood.synthetic.rgb_ghosted import rgb_ghosted
from edge_ood.synthetic.speckled import speckled

PIXEL = np.array([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [[0.0, 0.7, 1.0], [0.8, 0.9, 0.95]]])


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def numbered(side: int) -> np.ndarray:
    """An image in which every pixel is another grey, counted along the rows."""
    return np.repeat(np.arange(side**2, dtype=float).reshape(side, side, 1), 3, axis=2)


def test_means_of_two_images() -> None:
    """Half the sum, and the root of the product."""
    other = np.full_like(PIXEL, 0.4)

    np.testing.assert_allclose([0.25, 0.3, 0.35], arithmetic_mean(generator(), PIXEL, other)[0, 0])
    np.testing.assert_allclose(
        [0.2, np.sqrt(0.08), np.sqrt(0.12)], geometric_mean(generator(), PIXEL, other)[0, 0]
    )
    assert 0 == geometric_mean(generator(), PIXEL, other)[1, 0, 0]


def test_jigsaw_moves_quarters() -> None:
    """The places of 16 pixels after the exchange."""
    expected = [[4, 5, 8, 9], [0, 1, 12, 13], [10, 11, 3, 2], [14, 15, 7, 6]]

    np.testing.assert_array_equal(expected, jigsaw(generator(), numbered(4))[..., 0])


def test_jigsaw_does_not_turn_the_halves() -> None:
    """Rows and columns of a half that changes its place keep their order."""
    image = numbered(8)[..., 0]
    upper_left = np.vstack([image[2:4, :4], image[:2, :4]])
    lower_right = np.hstack([image[:4, 6:], image[:4, 4:6]])
    expected = np.block([[upper_left, image[4:, :4]], [image[4:, 4:], lower_right]])

    np.testing.assert_array_equal(expected, jigsaw(generator(), numbered(8))[..., 0])


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 32])
def test_jigsaw_keeps_every_pixel(side: int) -> None:
    """No pixel is lost or doubled, and the last line of an odd side stays in place."""
    image = numbered(side)

    moved = jigsaw(generator(), image)

    np.testing.assert_array_equal(np.arange(side**2), np.sort(moved[..., 0].ravel()))
    if side % 2:
        np.testing.assert_array_equal(image[-1], moved[-1])
        np.testing.assert_array_equal(image[:, -1], moved[:, -1])


def test_rgb_ghosting_exchanges_and_mirrors() -> None:
    """Red comes from green of the mirrored place, green from blue, blue from red."""
    moved = rgb_ghosted(generator(), PIXEL)

    np.testing.assert_array_equal([[0.5, 0.3, 0.1], [0.2, 0.6, 0.4]], moved[0])


def test_inversion_leaves_red() -> None:
    """Green and blue are 1 minus themselves; twice is nothing."""
    moved = inverted(generator(), PIXEL)

    np.testing.assert_allclose([0.1, 0.8, 0.7], moved[0, 0])
    np.testing.assert_allclose(PIXEL, inverted(generator(), moved))


def test_speckle_grows_with_brightness() -> None:
    """The noise has the mean and deviation of a product, and black stays black."""
    grey = np.full((256, 256, 3), 0.5)

    noisy = speckled(generator(), grey, std=0.1)

    assert 0.5 == pytest.approx(noisy.mean(), abs=0.001)
    assert 0.05 == pytest.approx(noisy.std(), rel=0.01)
    assert 0 == speckled(generator(), np.zeros((8, 8, 3))).max()
    assert 1 == speckled(generator(), grey, std=5.0).max()


def test_pixels_become_means_of_boxes() -> None:
    """At 10 px two squares a side are left, each the mean of 25 pixels, rounded twice."""
    levels = np.random.default_rng(1).integers(0, 256, (10, 10, 3)) / 255
    means = levels.reshape(2, 5, 2, 5, 3).mean(axis=(1, 3))

    squares = pixelated(generator(), levels)

    np.testing.assert_allclose(means.repeat(5, axis=0).repeat(5, axis=1), squares, atol=1.01 / 255)
