"""Metrics of predicted classes and probabilities: mistakes found, shares, calibration error."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from edge_ood import metrics
from edge_ood.errors import InputError

ROUNDING = 1e-12  # both sides sum at most a few hundred float64 ratios


def test_misclassification_is_wrong_against_right():
    """AUROC and both AUPRs equal scikit-learn's with wrong, and right, as the positive class."""
    rng = np.random.default_rng(0)
    scores, is_right = rng.normal(size=90).round(1), rng.random(90) < 0.8
    expected = (
        roc_auc_score(~is_right, scores),
        average_precision_score(is_right, -scores),
        average_precision_score(~is_right, scores),
    )

    measured = metrics.misclassification(scores, is_right)

    assert expected == pytest.approx(
        (measured.auroc, measured.aupr_right, measured.aupr_wrong), abs=ROUNDING
    )
    assert (is_right.sum(), (~is_right).sum()) == (measured.n_right, measured.n_wrong)


@pytest.mark.parametrize("right", [True, False])
def test_no_mistakes_to_detect_is_nan_with_one_warning(right):
    """A classifier without mistakes, or without a right answer, has no such metric."""
    with pytest.warns(metrics.UndefinedMetricWarning, match="right and wrong") as caught:
        measured = metrics.misclassification([1.0, 2.0, 3.0], [right] * 3)

    assert list(np.isnan([measured.auroc, measured.aupr_right, measured.aupr_wrong])) == [True] * 3
    assert len(caught) == 1
    assert (3 * right, 3 * (not right)) == (measured.n_right, measured.n_wrong)


def test_realised_tpr_is_the_accepted_share():
    """Three of four ID images were not flagged."""
    assert metrics.realised_tpr([False, True, False, False]) == 0.75


def test_accuracy_is_the_right_share():
    """One of four predictions is right."""
    assert metrics.accuracy([False, True, False, False]) == 0.25


@pytest.mark.parametrize("metric", [metrics.realised_tpr, metrics.accuracy])
def test_share_of_nothing_is_refused(metric):
    """An empty set has no share."""
    with pytest.raises(InputError, match="expected at least one"):
        metric([])


def test_max_probability_by_hand():
    """Logits log 1, log 2, log 5 have the largest probability 5/8, whatever is added to them."""
    logits = np.log([[1, 2, 5]]) + np.array([[0], [1e3], [-1e4]])

    assert pytest.approx(metrics.max_probability(logits), abs=1e-9) == [5 / 8] * 3


def test_expected_calibration_error_by_hand():
    """Two bins: 0.9 sure with half right, and 0.4 sure with all right."""
    expected = 2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.4)

    measured = metrics.expected_calibration_error([0.9, 0.9, 0.4], [True, False, True])

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

    measured = metrics.expected_calibration_error(confidence, is_right)

    assert expected == pytest.approx(measured, abs=ROUNDING)


def test_right_edge_belongs_to_the_bin():
    """A confidence on an edge shares the bin of those below it, where errors can cancel."""
    edge = 1 / 3  # the right edge of bin 5 of 15

    measured = metrics.expected_calibration_error([edge, edge - 0.01], [True, False])

    assert abs(1 - (2 * edge - 0.01)) / 2 == pytest.approx(measured, abs=ROUNDING)


def test_confidence_outside_the_unit_interval_is_refused():
    """Logits handed over as confidences are caught."""
    with pytest.raises(InputError, match=r"from 0.2 to 7, expected \[0, 1\]"):
        metrics.expected_calibration_error([0.2, 7.0], [True, True])
