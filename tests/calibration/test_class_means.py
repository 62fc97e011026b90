"""Streaming means by class, held against NumPy's."""

import numpy as np
import pytest

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.errors import CalibrationError

ROWS = np.random.default_rng(0).normal(size=(60, 5)) + 3
LABELS = np.arange(60) % 4


@pytest.fixture
def sums():
    """Of two accumulators that merged."""
    first, second = ClassMeans(4), ClassMeans(4)
    first.update(ROWS[:7], LABELS[:7])
    second.update(ROWS[7:31], LABELS[7:31])
    second.update(ROWS[31:], LABELS[31:])
    first.merge(second)
    return first


def test_means_are_numpys(sums):
    """By class, and of all."""
    expected = [ROWS[LABELS == label].mean(axis=0) for label in range(4)]

    np.testing.assert_allclose(sums.means(), expected, rtol=1e-12)
    np.testing.assert_allclose(sums.mean(), ROWS.mean(axis=0), rtol=1e-12)


def test_width_and_smallest_number_are_known(sums):
    """For heads that shape features."""
    assert 5 == sums.width
    assert ROWS.min() == sums.least


def test_a_class_without_images_has_no_mean():
    """The mean of all is there nevertheless."""
    sums = ClassMeans(3)
    sums.update(ROWS, LABELS % 2)

    np.testing.assert_allclose(sums.mean(), ROWS.mean(axis=0))
    with pytest.raises(CalibrationError, match="1 of 3 classes have no image"):
        sums.means()


def test_nothing_at_all_is_refused():
    """Without an image there is no mean."""
    with pytest.raises(CalibrationError, match="no training image"):
        ClassMeans(3).mean()


def test_what_is_not_finite_is_refused():
    """One such number would spoil every mean."""
    with pytest.raises(CalibrationError, match="not finite"):
        ClassMeans(1).update([[np.nan]], [0])
