"""Negative cross-entropy from uniform: by hand, by its definition, and its bound."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from edge_ood.scores import Outputs
from edge_ood.scores.uniform_ce import uniform_ce

LOGITS = 4 * np.random.default_rng(0).normal(size=(50, 7))


@pytest.mark.parametrize(
    ("odds", "expected"),
    [
        ([1, 1, 1], -math.log(3)),
        ([1, 2, 4], math.log(2) - math.log(7)),
        ([1, 16], 2 * math.log(2) - math.log(17)),
    ],
)
def test_is_the_mean_log_odds_minus_the_log_of_their_sum(odds, expected):
    """The mean of the log odds minus the log of their sum."""
    assert expected == pytest.approx(uniform_ce(np, Outputs(np.log([odds])), {})[0], abs=1e-12)


def test_is_the_negative_cross_entropy():
    """It is the mean log-probability: minus the cross-entropy of p against uniform."""
    scores = uniform_ce(np, Outputs(LOGITS), {})

    np.testing.assert_allclose(scores, log_softmax(LOGITS, axis=1).mean(axis=1), rtol=1e-12)


def test_is_mean_minus_logsumexp():
    """The form of the paper's code, with SciPy's logsumexp."""
    expected = LOGITS.mean(axis=1) - logsumexp(LOGITS, axis=1)

    np.testing.assert_allclose(uniform_ce(np, Outputs(LOGITS), {}), expected, rtol=1e-12)


def test_uniform_probabilities_are_the_upper_bound():
    """No image scores above -log K, which equal logits reach."""
    equal = uniform_ce(np, Outputs(np.full((1, 7), 2.5)), {})[0]

    assert -math.log(7) == pytest.approx(equal, abs=1e-12)
    assert (uniform_ce(np, Outputs(LOGITS), {}) < equal).all()


def test_constant_on_all_logits_does_not_matter():
    """Cross-entropy sees differences only."""
    shifted = uniform_ce(np, Outputs(LOGITS + 100), {})

    np.testing.assert_allclose(shifted, uniform_ce(np, Outputs(LOGITS), {}), rtol=1e-9)
