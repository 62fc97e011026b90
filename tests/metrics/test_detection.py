"""Metrics against scikit-learn, slow loops and numbers worked out by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from edge_ood.errors import InputError, ShapeError
from edge_ood.metrics import detection

ROUNDING = 1e-12  # both sides sum at most a few hundred float64 ratios

# Few distinct values, so that most examples are full of ties.
TIED_SCORES = st.lists(st.integers(-4, 4), min_size=1, max_size=25)


def tied_sample(seed):
    """ID and OOD scores that overlap, on a coarse grid."""
    rng = np.random.default_rng(seed)
    inside = rng.normal(0, 2, rng.integers(1, 80)).round()
    outside = rng.normal(1, 2, rng.integers(1, 80)).round()
    return inside, outside


def pooled(inside, outside):
    """Both sets in one array with OOD marks, as scikit-learn wants them."""
    is_ood = np.repeat([False, True], [len(inside), len(outside)])
    return np.concatenate([inside, outside]).astype(float), is_ood


def accepting_thresholds(inside, outside):
    """Every threshold `accepted when score <= t` that makes a difference."""
    return [-math.inf, *sorted({*inside, *outside})]


@pytest.mark.parametrize("seed", range(20))
def test_auroc_is_that_of_scikit_learn(seed):
    """With ties, AUROC equals scikit-learn's."""
    scores, is_ood = pooled(*tied_sample(seed))

    measured = detection.auroc(scores, is_ood)

    assert roc_auc_score(is_ood, scores) == pytest.approx(measured, abs=ROUNDING)


@pytest.mark.parametrize("seed", range(20))
def test_both_auprs_are_average_precision(seed):
    """AUPR-Out and AUPR-In equal scikit-learn's average precision, each with its positive class."""
    inside, outside = tied_sample(seed)
    scores, is_ood = pooled(inside, outside)
    expected = (average_precision_score(~is_ood, -scores), average_precision_score(is_ood, scores))

    measured = detection.pair_metrics(inside, outside)

    assert expected == pytest.approx((measured.aupr_in, measured.aupr_out), abs=ROUNDING)


@pytest.mark.parametrize("seed", range(20))
def test_both_fpr95s_are_on_the_full_roc_curve(seed):
    """Each FPR95 equals the first point of scikit-learn's undropped curve with 95 % recall."""
    inside, outside = tied_sample(seed)
    scores, is_ood = pooled(inside, outside)
    expected = []
    for truth, direction in ((~is_ood, -scores), (is_ood, scores)):
        false_alarms, recall, _ = roc_curve(truth, direction, drop_intermediate=False)
        expected.append(false_alarms[np.argmax(recall >= 0.95)])

    measured = detection.pair_metrics(inside, outside)

    assert expected == [measured.fpr95_id_positive, measured.fpr95_ood_positive]


@given(TIED_SCORES, TIED_SCORES)
def test_auroc_counts_pairs(inside, outside):
    """AUROC is the share of ordered pairs, a tie counting one half."""
    won = sum((o > i) + 0.5 * (o == i) for i, o in itertools.product(inside, outside))

    measured = detection.pair_metrics(inside, outside).auroc

    assert won / (len(inside) * len(outside)) == pytest.approx(measured, abs=ROUNDING)


@given(TIED_SCORES, TIED_SCORES)
def test_fpr95_id_positive_by_its_definition(inside, outside):
    """It is the accepted share of OOD at the smallest threshold that accepts 95 % of ID."""
    threshold = min(
        t
        for t in accepting_thresholds(inside, outside)
        if 100 * sum(s <= t for s in inside) >= 95 * len(inside)
    )
    expected = sum(s <= threshold for s in outside) / len(outside)

    assert expected == detection.pair_metrics(inside, outside).fpr95_id_positive


@given(TIED_SCORES, TIED_SCORES)
def test_fpr95_ood_positive_by_its_definition(inside, outside):
    """It is the flagged share of ID at the largest threshold that flags 95 % of OOD."""
    threshold = max(
        t
        for t in accepting_thresholds(inside, outside)
        if 100 * sum(s > t for s in outside) >= 95 * len(outside)
    )
    expected = sum(s > threshold for s in inside) / len(inside)

    assert expected == detection.pair_metrics(inside, outside).fpr95_ood_positive


@given(TIED_SCORES, TIED_SCORES)
def test_detection_error_is_the_best_threshold(inside, outside):
    """It is the smallest mean of ID flagged and OOD accepted over all thresholds."""
    expected = min(
        0.5 * sum(s > t for s in inside) / len(inside)
        + 0.5 * sum(s <= t for s in outside) / len(outside)
        for t in accepting_thresholds(inside, outside)
    )

    measured = detection.pair_metrics(inside, outside).detection_error

    assert expected == pytest.approx(measured, abs=ROUNDING)


@given(TIED_SCORES, TIED_SCORES)
@settings(max_examples=50)
def test_increasing_transform_changes_nothing(inside, outside):
    """Ranking metrics see the order of the scores alone."""
    plain = detection.pair_metrics(inside, outside)

    transformed = detection.pair_metrics(np.exp(inside) - 3, np.exp(outside) - 3)

    assert plain == transformed


@given(TIED_SCORES, TIED_SCORES, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_order_of_images_changes_nothing(inside, outside, random):
    """Ties are not broken by position."""
    plain = detection.pair_metrics(inside, outside)
    random.shuffle(inside)
    random.shuffle(outside)

    assert plain == detection.pair_metrics(inside, outside)


@given(TIED_SCORES, TIED_SCORES)
@settings(max_examples=50)
def test_swapping_sets_and_sign_swaps_the_positive_class(inside, outside):
    """Negated scores of swapped sets exchange In with Out and keep what is symmetric."""
    one = detection.pair_metrics(inside, outside)

    other = detection.pair_metrics(-np.array(outside), -np.array(inside))

    assert (one.auroc, one.aupr_in, one.aupr_out) == (other.auroc, other.aupr_out, other.aupr_in)
    assert one.fpr95_id_positive == other.fpr95_ood_positive
    assert one.detection_error == other.detection_error


def test_hand_computed_pair():
    """Four ID and two OOD scores, by hand: ID 0 1 2 5, OOD 3 6."""
    expected = detection.PairMetrics(
        n_id=4,
        n_ood=2,
        auroc=7 / 8,  # 3 loses against 5, all else won
        aupr_in=3 / 4 + 1 / 4 * 4 / 5,
        aupr_out=1 / 2 + 1 / 2 * 2 / 3,
        fpr95_id_positive=1 / 2,  # all four ID need the threshold 5, which accepts 3
        fpr95_ood_positive=1 / 4,  # both OOD need the threshold below 3, which flags 5
        detection_error=1 / 8,
    )

    assert expected == detection.pair_metrics([0, 1, 2, 5], [3, 6])


def test_perfect_separation_is_the_best_value_of_every_metric():
    """OOD above ID is the best value of every metric."""
    measured = detection.pair_metrics([0.0, 1.0], [2.0, 3.0])

    assert (1, 1, 1) == (measured.auroc, measured.aupr_in, measured.aupr_out)
    assert (0, 0) == (measured.fpr95_id_positive, measured.fpr95_ood_positive)
    assert 0 == measured.detection_error


def test_constant_score_knows_nothing():
    """One value for all images is chance level: base rates, and all or nothing accepted."""
    expected = detection.PairMetrics(
        n_id=3,
        n_ood=1,
        auroc=0.5,
        aupr_in=0.75,
        aupr_out=0.25,
        fpr95_id_positive=1,
        fpr95_ood_positive=1,
        detection_error=0.5,
    )

    assert expected == detection.pair_metrics([7.0] * 3, [7.0])


def test_scores_that_a_sigmoid_would_saturate():
    """Ranks survive any magnitude: 10,000 and more does not tie."""
    assert 0.75 == detection.pair_metrics([1e4, 1e8], [1e4 + 1, 1e30]).auroc


def test_infinite_scores_have_ranks():
    """Infinities are the ends of the order, tied with themselves."""
    assert 1.0 == detection.pair_metrics([-math.inf, 0], [math.inf, math.inf]).auroc


def test_ninety_five_percent_is_counted_in_images():
    """The recall needs ceil(0.95 n) images, in whole numbers, for every n."""
    counts = range(1, 201)
    # With k ID images accepted the threshold is the score k - 1, and k - 1 OOD scores are below.
    expected = [(-(-95 * n // 100) - 1) / n for n in counts]

    measured = [detection.pair_metrics(np.arange(n), np.arange(n) + 0.5) for n in counts]

    assert expected == [pair.fpr95_id_positive for pair in measured]


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        ([0.0, math.nan], [1.0], "1 of 2 ID scores are NaN"),
        ([0.0], [math.nan, math.nan, 1.0], "2 of 3 OOD scores are NaN"),
        ([], [1.0], "no ID scores, expected at least one"),
        ([1.0], [], "no OOD scores, expected at least one"),
    ],
)
def test_unusable_scores_are_named(inside, outside, message):
    """NaN and empty sets are errors that say which set."""
    with pytest.raises(InputError, match=message):
        detection.pair_metrics(inside, outside)


def test_matrix_of_scores_is_refused():
    """Scores have one dimension."""
    with pytest.raises(ShapeError, match=r"ID scores of shape \(2, 1\), expected \(N,\)"):
        detection.pair_metrics([[1.0], [2.0]], [1.0])


def test_class_marks_must_be_boolean():
    """Integer marks could be indices or labels, so they are refused."""
    with pytest.raises(ShapeError, match="expected bool"):
        detection.auroc([1.0, 2.0], [0, 1])


@pytest.mark.parametrize("metric", ["auroc", "average_precision", "fpr95", "detection_error"])
@pytest.mark.parametrize("positive", [True, False])
def test_one_class_is_nan_with_a_warning(metric, positive):
    """A comparison with nothing has no value."""
    with pytest.warns(detection.UndefinedMetricWarning, match="needs both positive and negative"):
        value = getattr(detection, metric)([1.0, 2.0], [positive] * 2)

    assert math.isnan(value)


def test_misclassification_is_wrong_against_right():
    """AUROC and both AUPRs equal scikit-learn's with wrong, and right, as the positive class."""
    rng = np.random.default_rng(0)
    scores, is_right = rng.normal(size=90).round(1), rng.random(90) < 0.8
    expected = (
        roc_auc_score(~is_right, scores),
        average_precision_score(is_right, -scores),
        average_precision_score(~is_right, scores),
    )

    measured = detection.misclassification(scores, is_right)

    assert expected == pytest.approx(
        (measured.auroc, measured.aupr_right, measured.aupr_wrong), abs=ROUNDING
    )
    assert (is_right.sum(), (~is_right).sum()) == (measured.n_right, measured.n_wrong)


@pytest.mark.parametrize("right", [True, False])
def test_no_mistakes_to_detect_is_nan_with_one_warning(right):
    """A classifier without mistakes, or without a right answer, has no such metric."""
    with pytest.warns(detection.UndefinedMetricWarning, match="right and wrong") as caught:
        measured = detection.misclassification([1.0, 2.0, 3.0], [right] * 3)

    assert list(np.isnan([measured.auroc, measured.aupr_right, measured.aupr_wrong])) == [True] * 3
    assert 1 == len(caught)
    assert (3 * right, 3 * (not right)) == (measured.n_right, measured.n_wrong)


def test_realised_tpr_is_the_accepted_share():
    """Three of four ID images were not flagged."""
    assert 0.75 == detection.realised_tpr([False, True, False, False])


def test_tpr_of_nothing_is_refused():
    """An empty set has no share."""
    with pytest.raises(InputError, match="no decisions, expected at least one"):
        detection.realised_tpr([])
