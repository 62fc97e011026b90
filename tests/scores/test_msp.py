"""Maximum softmax probability: by hand, by SciPy, and where float32 would saturate."""

import numpy as np
import pytest
from scipy.special import softmax

from edge_ood.scores import Outputs
from edge_ood.scores.msp import msp

LOGITS = 4 * np.random.default_rng(0).normal(size=(50, 7))


@pytest.mark.parametrize(
    ("odds", "expected"),
    [([1, 2, 5], 3 / 8), ([1, 1, 1], 2 / 3), ([3, 3, 2], 5 / 8), ([1, 4], 1 / 5)],
)
def test_is_one_minus_the_largest_share_of_the_odds(odds, expected):
    """Probabilities in the proportions of the odds leave 1 - max p, ties included."""
    assert expected == pytest.approx(msp(np, Outputs(np.log([odds])), {})[0], abs=1e-12)


def test_is_one_minus_the_largest_softmax():
    """In float64 the rearranged sum is the definition."""
    expected = 1 - softmax(LOGITS, axis=1).max(axis=1)

    np.testing.assert_allclose(msp(np, Outputs(LOGITS), {}), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("odds", "temperature", "expected"),
    [([1, 4], 2, 1 / 3), ([1, 2], 0.5, 1 / 5), ([1, 1, 16], 4, 2 / 4), ([3, 3, 3], 7, 2 / 3)],
)
def test_odds_are_raised_to_one_over_the_temperature(odds, temperature, expected):
    """Odds of 1 to 4 are 1 to 2 at temperature 2."""
    found = msp(np, Outputs(np.log([odds])), {}, temperature=temperature)[0]

    assert expected == pytest.approx(found, abs=1e-12)


def test_the_temperature_divides_the_logits():
    """SciPy's softmax of the quotient."""
    expected = 1 - softmax(LOGITS / 2.7, axis=1).max(axis=1)

    np.testing.assert_allclose(expected, msp(np, Outputs(LOGITS), {}, temperature=2.7), rtol=1e-9)


def test_confident_images_do_not_tie_in_float32():
    """Margins of 20 and more differ, where 1 - p is 0 in float32."""
    logits = np.array([[margin, 0, 0] for margin in (20, 40, 60, 80)], np.float32)
    saturated = 1 - softmax(logits, axis=1).max(axis=1)
    assert not saturated.any()

    scores = msp(np, Outputs(logits), {})

    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, 2 * np.exp([-20.0, -40, -60, -80]), rtol=1e-5)


def test_constant_on_all_logits_does_not_matter():
    """Softmax sees differences only."""
    shifted = msp(np, Outputs(LOGITS + 100), {})

    np.testing.assert_allclose(shifted, msp(np, Outputs(LOGITS), {}), rtol=1e-9)


def test_pytorch_ood_agrees(pytorch_ood):
    """The independent detector's -max p is ours minus one."""
    torch = pytest.importorskip("torch")

    theirs = pytorch_ood.MaxSoftmax.score(torch.from_numpy(LOGITS)).numpy()

    np.testing.assert_allclose(msp(np, Outputs(LOGITS), {}) - 1, theirs, rtol=1e-12)
