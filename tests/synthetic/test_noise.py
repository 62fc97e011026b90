"""Noise against closed forms and SciPy."""

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from edge_ood.synthetic.blobs import blobs
from edge_ood.synthetic.gaussian import gaussian
from edge_ood.synthetic.rademacher import rademacher
from edge_ood.synthetic.uniform import uniform

SIDE = 256
VALUES = 3 * SIDE**2
DEVIATIONS = 5  # standard errors; of seeded draws, so a test passes always or never


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("std", [0.25, 0.5, 1.0])
def test_gaussian_is_a_clipped_normal(std: float) -> None:
    """Mean and variance of N(0.5, std^2) clipped to [0, 1], and the share of its black values."""
    image = gaussian(generator(), SIDE, std=std)
    normal = stats.norm(0.5, std)
    black = normal.cdf(0)
    square = normal.expect(lambda x: x**2, lb=0, ub=1) + black  # white's share is black's
    variance = square - 0.5**2

    assert abs(image.mean() - 0.5) < DEVIATIONS * np.sqrt(variance / VALUES)
    assert variance == pytest.approx(image.var(), rel=0.01)
    share = (image == 0).mean()
    assert abs(share - black) < DEVIATIONS * np.sqrt(black * (1 - black) / VALUES)


def test_uniform_is_uniform() -> None:
    """Kolmogorov and Smirnov find no other distribution than U[0, 1]."""
    assert stats.kstest(uniform(generator(), SIDE).ravel(), "uniform").pvalue > 0.01


def test_rademacher_pixels_are_eight_colours_alike() -> None:
    """Values are 0 and 1 alone, and the channels are independent."""
    image = rademacher(generator(), SIDE)
    colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)

    assert {0.0, 1.0} == set(np.unique(image))
    assert 8 == len(colours)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(("side", "sigma"), [(32, 1.5), (63, 1.5), (64, 2.0), (160, 2.0)])
def test_blobs_are_noise_blurred_and_cut(side: int, sigma: float) -> None:
    """SciPy's filter over rows, columns and colours, of the same noise, with the same cut."""
    noise = (generator().random((side, side, 3)) < 0.7).astype(float)
    blurred = gaussian_filter(noise, sigma, mode="nearest", truncate=4.0)
    expected = np.where(blurred < 0.75, 0, blurred)

    np.testing.assert_allclose(blobs(generator(), side), expected, atol=1e-12)


@pytest.mark.parametrize("side", [32, 64, 224])
def test_blobs_are_neither_black_nor_white(side: int) -> None:
    """At any size a part of the image, not all of it, is above the cut."""
    assert 0.05 < (blobs(generator(), side) > 0).mean() < 0.5
