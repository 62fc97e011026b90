"""Curves and histograms against scikit-learn and NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score, roc_curve

from edge_ood.evaluation.curves import histogram, pvalue_curve, threshold_curve

SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_a_threshold_curve_is_a_roc_curve(inside, outside):
    """With few distinct scores every point of scikit-learn's curve is there, ID positive."""
    is_id = np.arange(len(inside) + len(outside)) < len(inside)
    fpr, tpr, thresholds = roc_curve(is_id, -np.array(inside + outside), drop_intermediate=False)

    found = threshold_curve(inside, outside)

    # Its first point accepts nothing.
    np.testing.assert_array_equal(-thresholds[1:], found.thresholds)
    np.testing.assert_allclose(found.tpr, tpr[1:], rtol=1e-12)
    np.testing.assert_allclose(found.fpr, fpr[1:], rtol=1e-12)


def test_many_scores_give_201_points_of_the_roc_curve():
    """Every point lies on scikit-learn's curve, both ends are there, and the area is nearly it."""
    generator = np.random.default_rng(0)
    inside = generator.normal(size=3000).astype(np.float32)
    outside = generator.normal(1.5, size=200).astype(np.float32)
    is_id = np.arange(3200) < 3000
    pooled = np.concatenate([inside, outside])
    fpr, tpr, thresholds = roc_curve(is_id, -pooled, drop_intermediate=False)
    points = {-t: (a, b) for t, a, b in zip(thresholds.tolist(), tpr, fpr, strict=True)}

    found = threshold_curve(inside, outside)

    assert 190 <= len(found.thresholds) <= 201
    assert (pooled.min(), pooled.max()) == (found.thresholds[0], found.thresholds[-1])
    for threshold, *rates in zip(found.thresholds, found.tpr, found.fpr, strict=True):
        np.testing.assert_allclose(rates, points[threshold], rtol=1e-12)
    area = auc((0, *found.fpr), (0, *found.tpr))
    assert roc_auc_score(is_id, -pooled) == pytest.approx(area, abs=1e-3)


def test_a_small_set_far_away_is_resolved():
    """Ten OOD images above thousands of ID images are passed one by one."""
    found = threshold_curve(np.arange(5000.0), np.arange(5000.0, 5010))

    assert set(np.arange(0.0, 1.01, 0.1).round(1)) == set(np.round(found.fpr, 6))


def test_histograms_are_numpys_within_the_range():
    """NumPy counts the same images in the same bins, and the ends hold what lies outside."""
    generator = np.random.default_rng(1)
    inside, outside = generator.normal(size=5000), generator.normal(3, size=4000)

    found = histogram(inside, outside)

    edges = np.array(found.edges)
    assert 61 == len(edges)
    assert (edges[0], edges[-1]) == (np.quantile(inside, 0.001), np.quantile(outside, 0.999))
    np.testing.assert_allclose(np.diff(edges), np.diff(edges)[0])
    for scores, density in ((inside, found.id_density), (outside, found.ood_density)):
        counts = np.histogram(scores, edges)[0]
        np.testing.assert_allclose(density[1:-1], counts[1:-1] / len(scores))
        assert 1 == pytest.approx(sum(density))
    below = (inside < edges[0]).mean()
    first = np.histogram(inside, edges)[0][0] / 5000
    assert first + below == pytest.approx(found.id_density[0])


def test_one_far_score_does_not_stretch_a_histogram():
    """A score a million times as large counts in the last bin."""
    found = histogram(np.linspace(0, 1, 2001), [*np.linspace(0, 1, 2000), 1e6])

    assert 1 == pytest.approx(found.edges[-1], abs=0.01)
    assert 1 == pytest.approx(sum(found.ood_density))


@pytest.mark.parametrize("value", [0.0, 3.5, -1e30])
def test_equal_scores_have_a_histogram(value):
    """A constant score fills one bin in the middle."""
    found = histogram([value] * 3, [value] * 2)

    assert found.edges[0] < value < found.edges[-1]
    assert [1.0] == [density for density in found.id_density if density]
    assert found.id_density == found.ood_density


def test_exact_pvalues_keep_every_level():
    """The p-values 1/n, ..., 1 flag as many images as the level allows, whole images apart."""
    n = 40
    found = pvalue_curve((np.arange(1, n + 1) / n).astype(np.float32))

    levels = np.arange(201) / 200
    np.testing.assert_array_equal(levels, found.levels)
    np.testing.assert_allclose(found.flagged, np.floor(levels * n + 1e-9) / n)


def test_levels_are_compared_in_float32():
    """An image at the level itself is flagged, though float32 rounds 0.05 upwards."""
    found = pvalue_curve(np.array([0.05], np.float32))

    assert float(np.float32(0.05)) > 0.05
    assert 1.0 == found.flagged[found.levels.index(0.05)]
    assert 0.0 == found.flagged[found.levels.index(0.045)]
