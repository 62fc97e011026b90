"""Formulas over counts against scikit-learn's weighted metrics; `test_detection.py` does more."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from edge_ood.metrics import ranking
from edge_ood.metrics.ranking import Ranking

ROUNDING = 1e-12  # both sides sum at most a few hundred float64 ratios
RESAMPLES = 20


def resampled(seed):
    """Tied scores, class marks, and how often each image stands in each of 20 resamples."""
    rng = np.random.default_rng(seed)
    is_positive = rng.random(90) < 0.3
    scores = (rng.normal(0, 2, 90) + is_positive).round()
    times = rng.poisson(1, (RESAMPLES, 90)).astype(np.uint8)
    times[:, [is_positive.argmax(), is_positive.argmin()]] += 1  # so that no class is empty
    return scores, is_positive, times


def expected_fpr95(is_positive, scores, times):
    """The first point of the full curve that reaches the recall, counted in whole images."""
    false_alarms, recall, _ = roc_curve(
        is_positive, scores, sample_weight=times, drop_intermediate=False
    )
    n_positive = int(times[is_positive].sum())
    return false_alarms[np.argmax((recall * n_positive).round() * 100 >= 95 * n_positive)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("negated", [False, True])
def test_counted_images_are_weighted_images(seed, negated):
    """Every resample's metrics equal scikit-learn's with its counts as sample weights."""
    scores, is_positive, times = resampled(seed)
    counts = Ranking(scores, is_positive).counts(times)
    if negated:
        counts, scores, is_positive = counts.negated(), -scores, ~is_positive
    expected = [
        (
            roc_auc_score(is_positive, scores, sample_weight=w),
            average_precision_score(is_positive, scores, sample_weight=w),
            expected_fpr95(is_positive, scores, w.astype(int)),
        )
        for w in times
    ]

    measured = [m(counts) for m in (ranking.auroc, ranking.average_precision, ranking.fpr95)]

    np.testing.assert_allclose(np.transpose(measured), expected, atol=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_detection_error_is_the_lowest_point_of_the_weighted_curve(seed):
    """It is the smallest mean of miss and false-positive rate on scikit-learn's full curve."""
    scores, is_positive, times = resampled(seed)
    expected = []
    for w in times:
        false_alarms, recall, _ = roc_curve(
            is_positive, scores, sample_weight=w, drop_intermediate=False
        )
        expected.append(((1 - recall + false_alarms) / 2).min())

    measured = ranking.detection_error(Ranking(scores, is_positive).counts(times))

    np.testing.assert_allclose(measured, expected, atol=ROUNDING)


def test_counts_stay_exact_where_products_leave_int32():
    """Ninety million images have the metrics of ninety of them."""
    scores, is_positive, _ = resampled(0)
    one = Ranking(scores, is_positive).counts(np.ones(90, np.int32))
    many = Ranking(scores, is_positive).counts(np.full(90, 1_000_000, np.int32))

    for metric in (ranking.auroc, ranking.average_precision, ranking.detection_error):
        assert metric(one) == pytest.approx(metric(many), abs=ROUNDING)
    assert ranking.fpr95(one) == ranking.fpr95(many)
