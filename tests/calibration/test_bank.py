"""A bounded sample of rows: which it keeps, in any order, and how many."""

import numpy as np
import pytest

from edge_ood.calibration.bank import ClassBank
from edge_ood.errors import CalibrationError

ROWS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
LABELS = np.arange(300) % 3


def filled(order=slice(None), size=30):
    """A bank of the rows in some order, one batch of seven after the other."""
    bank = ClassBank(3, size)
    for rows, labels in zip(
        np.array_split(ROWS[order], 40), np.array_split(LABELS[order], 40), strict=True
    ):
        bank.update(rows, labels)
    return bank


def test_each_class_keeps_as_many():
    """Of 30 rows and three classes, ten of each, and they are rows that came."""
    rows, labels = filled().rows()

    assert [10, 10, 10] == np.bincount(labels).tolist()
    assert {tuple(row) for row in rows} <= {tuple(row) for row in ROWS.astype(float)}
    for row, label in zip(rows, labels, strict=True):
        assert LABELS[(ROWS == row).all(axis=1)] == label


def test_the_order_does_not_matter():
    """The same rows come in any order."""
    expected, _ = filled().rows()

    found, _ = filled(np.random.default_rng(1).permutation(300)).rows()

    np.testing.assert_array_equal(expected, found)


def test_two_merge_into_the_bank_of_both():
    """As if one had seen everything."""
    first, second = filled(slice(0, 100)), filled(slice(100, None))

    first.merge(second)

    np.testing.assert_array_equal(filled().rows()[0], first.rows()[0])


def test_the_sample_is_uniform():
    """Of many rows no part is preferred: the mean is that of all, within its deviation."""
    rows = np.random.default_rng(2).normal(size=(20000, 1)).astype(np.float32)
    bank = ClassBank(1, 1000)
    for part in np.array_split(np.sort(rows, axis=0), 100):
        bank.update(part, np.zeros(len(part), int))

    kept, _ = bank.rows()

    assert 1000 == len(kept)
    assert abs(kept.mean()) < 4 / np.sqrt(1000)
    assert 1 == pytest.approx(kept.std(), abs=0.1)


def test_copies_count_once():
    """A row that comes again does not drive another one out."""
    bank = filled()
    for _ in range(5):
        bank.update(ROWS[:50], LABELS[:50])

    np.testing.assert_array_equal(filled().rows()[0], bank.rows()[0])


def test_a_bank_that_is_larger_than_the_data_keeps_everything():
    """And a class that has no image has no row."""
    bank = ClassBank(4, 10**6)
    bank.update(ROWS, LABELS)

    rows, labels = bank.rows()

    assert 300 == len(rows)
    assert {0, 1, 2} == set(labels.tolist())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    """Nothing is near such a row."""
    with pytest.raises(CalibrationError, match="not finite"):
        ClassBank(1, 5).update([[value]], [0])


def test_an_empty_bank_is_refused():
    """There is nothing to measure a distance to."""
    with pytest.raises(CalibrationError, match="no training image"):
        ClassBank(2, 5).rows()
