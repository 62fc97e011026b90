"""Corruptions against closed forms, SciPy and the standard library."""

import colorsys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from edge_ood.corruptions import CORRUPTIONS
from edge_ood.corruptions.blur import blur
from edge_ood.corruptions.brightness import brightness
from edge_ood.corruptions.jpeg import jpeg
from edge_ood.corruptions.noise import noise

LEVEL = 1 / 255


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "size_px", "first", "last"),
    [
        ("noise", 8, 0.04, 0.10),
        ("noise", 63, 0.04, 0.10),
        ("noise", 64, 0.04, 0.18),
        ("noise", 223, 0.04, 0.18),
        ("noise", 600, 0.08, 0.38),
        ("jpeg", 32, 80, 40),
        ("jpeg", 224, 25, 7),
        ("brightness", 32, 0.05, 0.3),
        ("brightness", 224, 0.1, 0.5),
        ("blur", 16, 0.4, 1.0),
        ("blur", 48, 0.6, 1.5),
        ("blur", 64, 0.5, 1.5),
        ("blur", 128, 1.0, 3.0),
        ("blur", 224, 1.0, 6.0),
        ("blur", 336, 1.5, 9.0),
    ],
)
def test_constants_are_those_of_the_published_set(
    name: str, size_px: int, first: float, last: float
) -> None:
    """The set with the largest images that are no larger; only a length grows from there on."""
    corruption = CORRUPTIONS.get(name)

    assert first == pytest.approx(corruption.constant(1, size_px))
    assert last == pytest.approx(corruption.constant(5, size_px))


def test_noise_has_the_deviation_asked_for() -> None:
    """Around grey it is normal, far from the ends of the range."""
    grey = np.full((256, 256, 3), 0.5)

    noisy = noise(generator(), grey, 0.08)

    assert 0.5 == pytest.approx(noisy.mean(), abs=0.001)
    assert 0.08 == pytest.approx(noisy.std(), rel=0.01)


def test_a_stronger_noise_is_the_same_noise() -> None:
    """Each value moves on in the direction in which it moved, so strengths compare by image."""
    grey = np.full((8, 8, 3), 0.5)

    weak, strong = noise(generator(), grey, 0.04) - 0.5, noise(generator(), grey, 0.08) - 0.5

    np.testing.assert_allclose(2 * weak, strong)


def test_colours_are_blurred_apart() -> None:
    """As SciPy does it along rows and columns, and not from colour to colour."""
    image = generator().random((24, 24, 3))

    expected = gaussian_filter(image, (1.25, 1.25, 0), mode="nearest", truncate=4.0)

    np.testing.assert_allclose(expected, blur(generator(), image, 1.25), atol=1e-12)


@pytest.mark.parametrize("added", [0.05, 0.3, 0.5])
def test_brightness_is_the_value_of_hsv(added: float) -> None:
    """The standard library's conversion, there and back, pixel by pixel."""
    image = np.concatenate([generator().random((6, 4, 3)), np.zeros((1, 4, 3)), np.ones((1, 4, 3))])

    def by_hand(pixel: np.ndarray) -> tuple[float, float, float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))

    expected = np.apply_along_axis(by_hand, -1, image)

    np.testing.assert_allclose(expected, brightness(generator(), image, added), atol=1e-12)


@pytest.mark.parametrize("quality", [80, 65, 50, 40, 25, 7])
@pytest.mark.parametrize("grey", [7, 90, 128, 200, 250])
def test_jpeg_rounds_a_flat_grey_to_its_first_coefficient(quality: int, grey: int) -> None:
    """Annex K's first luminance step, scaled by quality as libjpeg does, divides 8 (grey - 128)."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    step = (16 * scale + 50) // 100
    multiple = np.copysign(np.floor(abs(8 * (grey - 128) / step) + 0.5), grey - 128)
    expected = 128 + multiple * step / 8

    found = jpeg(generator(), np.full((16, 16, 3), grey * LEVEL), quality)

    assert np.abs(found * 255 - np.clip(expected, 0, 255)).max() <= 1


def test_jpeg_halves_the_resolution_of_colours() -> None:
    """Stripes of one pixel in equally bright colours come out as one colour."""
    red, green = np.array([1.0, 0, 0]), np.array([0, 0.509, 0])
    image = np.where((np.arange(16) % 2 == 0)[None, :, None], red, green).repeat(16, axis=0)
    image = np.rint(255 * image) / 255

    found = jpeg(generator(), image, 95)

    assert np.abs(found[:, ::2] - found[:, 1::2]).max() < 0.05
