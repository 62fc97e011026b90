"""Metrics of predicted classes and probabilities: shares, reliability, calibration errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from edge_ood.errors import DataError, InputError
from edge_ood.metrics import classification

ROUNDING = 1e-12  # both sides sum at most a few hundred float64 ratios


def test_accuracy_is_the_right_share():
    """One of four predictions is right."""
    assert 0.25 == classification.accuracy([False, True, False, False])


def test_accuracy_of_nothing_is_refused():
    """An empty set has no share."""
    with pytest.raises(InputError, match="no predictions, expected at least one"):
        classification.accuracy([])


def test_chance_level_is_the_share_of_the_most_frequent_class():
    """Class 2 has three of five labels; class 1 has none."""
    assert 0.6 == classification.chance_level([2, 0, 2, 3, 2])


def test_chance_level_of_nothing_is_refused():
    """Without labels there is no most frequent class."""
    with pytest.raises(InputError, match="no labels, expected at least one"):
        classification.chance_level([])


def test_no_better_than_the_commonest_class_is_refused_with_both_shares():
    """Three of five labels are alike: as many right answers are refused, one more is not."""
    classification.check_better_than_chance(0.8, [2, 0, 2, 3, 2], "images", "look")

    with pytest.raises(DataError, match=r"^60.0% of 5 images .* chance \(60.0%\)$") as caught:
        classification.check_better_than_chance(0.6, [2, 0, 2, 3, 2], "images", "look")

    assert "look" == caught.value.hint


def test_max_probability_by_hand():
    """Logits log 1, log 2, log 5 have the largest probability 5/8, whatever is added to them."""
    logits = np.log([[1, 2, 5]]) + np.array([[0], [1e3], [-1e4]])

    assert pytest.approx(classification.max_probability(logits), abs=1e-9) == [5 / 8] * 3


def test_expected_calibration_error_by_hand():
    """Two bins: 0.9 sure with half right, and 0.4 sure with all right."""
    expected = 2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.4)

    measured = classification.expected_calibration_error([0.9, 0.9, 0.4], [True, False, True])

    assert expected == pytest.approx(measured, abs=ROUNDING)


def test_expected_calibration_error_equals_a_loop_over_bins():
    """The sum over 15 bins (lower, upper] that the docstring states, in a loop."""
    rng = np.random.default_rng(1)
    confidence = np.append(rng.random(300), [0.0, 1 / 15, 1.0])
    is_right = rng.random(303) < confidence
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        inside |= (b == 0) & (confidence == 0)
        if inside.any():
            gap = abs(is_right[inside].mean() - confidence[inside].mean())
            expected += inside.sum() / 303 * gap

    measured = classification.expected_calibration_error(confidence, is_right)

    assert expected == pytest.approx(measured, abs=ROUNDING)


def test_right_edge_belongs_to_the_bin():
    """A confidence on an edge shares the bin of those below it, where errors can cancel."""
    edge = 1 / 3  # the right edge of bin 5 of 15

    measured = classification.expected_calibration_error([edge, edge - 0.01], [True, False])

    assert abs(1 - (2 * edge - 0.01)) / 2 == pytest.approx(measured, abs=ROUNDING)


def test_reliability_is_that_of_scikit_learn():
    """Filled bins equal scikit-learn's calibration curve; empty ones are NaN and count zero."""
    rng = np.random.default_rng(2)
    confidence = np.append(rng.uniform(0.35, 1, 300), [0.4, 0.6, 1.0])  # three on edges of bins
    is_right = rng.random(303) < confidence
    expected = calibration_curve(is_right, confidence, n_bins=15)

    confidences, accuracies, count = classification.reliability(confidence, is_right)

    np.testing.assert_allclose(accuracies[count > 0], expected[0], atol=ROUNDING)
    np.testing.assert_allclose(confidences[count > 0], expected[1], atol=ROUNDING)
    assert [0] * 5 == count[:5].tolist()
    assert np.isnan(confidences[:5]).all()
    assert np.isnan(accuracies[:5]).all()
    assert (15, 303) == (len(count), count.sum())


def test_rms_calibration_error_by_hand():
    """Bins of 100 and 150: one is 0.6 sure and half right, the other 0.9 sure and all right."""
    confidence = np.repeat([0.6, 0.9], [100, 150])
    is_right = np.append(np.arange(100) < 50, np.ones(150, bool))
    expected = math.sqrt((100 * 0.1**2 + 150 * 0.1**2) / 250)

    measured = classification.rms_calibration_error(confidence[::-1], is_right[::-1])

    assert expected == pytest.approx(measured, abs=ROUNDING)


def test_rms_calibration_error_counts_the_most_confident():
    """Wrong predictions in the last bin alone are seen, and weigh more than in the mean."""
    confidence = np.repeat([0.5, 0.99], [300, 100])
    is_right = np.append(np.arange(300) % 2 == 0, np.zeros(100, bool))

    measured = classification.rms_calibration_error(confidence, is_right)

    assert math.sqrt(0.99**2 / 4) == pytest.approx(measured, abs=ROUNDING)


@pytest.mark.parametrize("n", [1, 99, 100, 199])
def test_rms_calibration_error_of_one_bin(n):
    """Below 200 predictions it is the gap between the mean confidence and the accuracy."""
    rng = np.random.default_rng(n)
    confidence, is_right = rng.random(n), rng.random(n) < 0.5
    expected = abs(confidence.mean() - is_right.mean())

    measured = classification.rms_calibration_error(confidence, is_right)

    assert expected == pytest.approx(measured, abs=ROUNDING)


@given(st.randoms(use_true_random=False))
def test_order_of_images_changes_no_calibration_error(random):
    """Equal confidences, even across the edge of a bin of 100, are not told apart by position."""
    predictions = [(0.9, i % 3 > 0) for i in range(150)] + [(0.4, i % 2 > 0) for i in range(75)]
    plain = classification.rms_calibration_error(*map(np.array, zip(*predictions, strict=True)))
    random.shuffle(predictions)

    shuffled = np.array([p for p, _ in predictions]), np.array([right for _, right in predictions])

    assert plain == classification.rms_calibration_error(*shuffled)


@pytest.mark.parametrize(
    "metric", ["reliability", "expected_calibration_error", "rms_calibration_error"]
)
def test_confidence_outside_the_unit_interval_is_refused(metric):
    """Logits handed over as confidences are caught."""
    with pytest.raises(InputError, match=r"from 0.2 to 7, expected \[0, 1\]"):
        getattr(classification, metric)([0.2, 7.0], [True, True])
