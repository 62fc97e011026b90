"""Discrepancy of two heads: by hand, by SciPy, and its bounds."""

import numpy as np
import pytest
from scipy.special import softmax

from edge_ood.scores import Outputs
from edge_ood.scores.mcd_l1 import mcd_l1

PAIR = 4 * np.random.default_rng(0).normal(size=(50, 2, 7))


def discrepancy(pair):
    """The head on a (N, 2, K) pair alone."""
    return mcd_l1(np, Outputs(None, np.asarray(pair, float)), {})


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 1], [1, 1], 0),
        ([1, 3], [3, 1], 1),  # (1/4, 3/4) against (3/4, 1/4)
        ([1, 1, 2], [2, 1, 1], 1 / 2),
        ([1, 1, 1, 1], [7, 1, 1, 1], 9 / 10),  # (1/4, ...) against (7/10, 1/10, ...)
    ],
)
def test_absolute_differences_of_probabilities_add_up(first, second, expected):
    """The absolute differences of probabilities add up."""
    assert expected == pytest.approx(discrepancy(np.log([[first, second]]))[0], abs=1e-12)


def test_is_the_l1_distance_of_softmaxes():
    """Softmax over classes, not over images or heads."""
    p = softmax(PAIR, axis=2)

    np.testing.assert_allclose(discrepancy(PAIR), np.abs(p[:, 0] - p[:, 1]).sum(axis=1), rtol=1e-9)


def test_opposite_certainties_reach_two():
    """Two heads sure of different classes are as far apart as probabilities can be."""
    assert 2 == discrepancy([[[900, 0], [0, 900]]])[0]


def test_one_flat_and_one_sure_head():
    """What training aims at for outliers: 2 - 2 / K."""
    assert 2 - 2 / 10 == pytest.approx(discrepancy([[[0] * 10, [900] + [0] * 9]])[0], abs=1e-12)


def test_order_of_the_heads_does_not_matter():
    """A distance is symmetric."""
    np.testing.assert_array_equal(discrepancy(PAIR), discrepancy(PAIR[:, ::-1]))
