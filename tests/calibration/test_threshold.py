"""Conformal thresholds and p-values: exact ranks, exact decisions, coverage by simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_ood.calibration.threshold import (
    MAX_KNOTS,
    conformal_pvalues,
    fit_knots,
    kept_ranks,
    minimum_images,
    pvalues_of_weights,
    threshold_rank,
)
from edge_ood.errors import CalibrationError, InputError

PERCENTS = range(1, 100)
ALPHAS = (0.01, 0.05, 0.1, 1 / 3, 0.5)


def exact_rank(n, alpha):
    """The rank ceil((n + 1)(1 - alpha)) in rational arithmetic."""
    return math.ceil((n + 1) * (1 - Fraction(alpha)))


def neighbours(values):
    """Each float32 value with the next one on either side, the infinities and NaN."""
    up = np.nextafter(values, np.float32(np.inf))
    down = np.nextafter(values, np.float32(-np.inf))
    ends = np.array([-np.inf, np.inf, np.nan], np.float32)
    return np.concatenate([values, up, down, ends])


@pytest.mark.parametrize(("alpha", "expected"), [(0.05, 19), (0.01, 99), (0.1, 9), (0.5, 1)])
def test_minimum_images_of_common_rates(alpha, expected):
    """A rate of one in m needs m - 1 images."""
    assert expected == minimum_images(alpha)


def test_minimum_images_is_the_smallest_that_works():
    """For every whole percent it is the first n whose rank does not exceed n."""
    expected = [
        next(n for n in range(1, 101) if exact_rank(n, Fraction(p, 100)) <= n) for p in PERCENTS
    ]

    assert expected == [minimum_images(p / 100) for p in PERCENTS]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.05, 5.0, math.nan])
def test_rate_outside_the_unit_interval_is_refused(alpha):
    """A rate is between 0 and 1, both excluded."""
    with pytest.raises(InputError, match="expected a rate between 0 and 1"):
        minimum_images(alpha)


@pytest.mark.parametrize("percent", [1, 5, 7, 10, 29, 50, 95])
def test_rank_is_exact(percent):
    """The rank is that of rational arithmetic; 20 * 0.95 is no 19.000000000000004."""
    counts = range(minimum_images(percent / 100), 2500)

    assert [exact_rank(n, Fraction(percent, 100)) for n in counts] == [
        threshold_rank(n, percent / 100) for n in counts
    ]


def test_eighteen_images_are_refused_for_five_percent():
    """One image too few: both numbers and the two ways out are named; 19 are enough."""
    with pytest.raises(
        CalibrationError, match="18 calibration scores cannot give a 5% false-alarm threshold"
    ) as caught:
        fit_knots(np.arange(18), 0.05)

    assert caught.value.hint == "use at least 19, or --alpha 0.06"
    assert len(fit_knots(np.arange(19), 0.05).values) == 19


def test_fifty_eight_images_are_refused_for_five_percent_with_confidence():
    """0.95 ** 58 is 5.1 %: so often even the largest score is not large enough."""
    with pytest.raises(
        CalibrationError, match=r"58 .* a 5% false-alarm threshold with 95% confidence"
    ) as caught:
        fit_knots(np.arange(58), 0.05, 0.95)

    assert caught.value.hint == "use at least 59, or --alpha 0.06"
    assert len(fit_knots(np.arange(59), 0.05, 0.95).values) == 59


@pytest.mark.parametrize("confidence", [0, 0.5, 0.95])
def test_suggested_rate_is_within_reach(confidence):
    """The rate that the hint suggests works with the scores there are."""
    for n in range(1, 120):
        with pytest.raises(CalibrationError) as caught:
            threshold_rank(n, 1e-6, confidence)

        suggested = float(caught.value.hint.split()[-1])
        assert threshold_rank(n, suggested, confidence) <= n


def test_no_rate_is_suggested_where_none_is_within_reach():
    """One score is above 99 % of the images with a probability of only 1 %."""
    with pytest.raises(CalibrationError) as caught:
        threshold_rank(1, 0.05, 0.995)

    assert caught.value.hint == "use at least 104"


def test_no_scores_suggest_no_rate():
    """Without any score no rate can be held, so none is suggested."""
    with pytest.raises(CalibrationError, match="0 calibration scores") as caught:
        fit_knots([], 0.05)

    assert caught.value.hint == "use at least 19"


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_scores_must_be_finite(broken):
    """NaN and infinite calibration scores are counted and refused."""
    with pytest.raises(CalibrationError, match="2 of 40 calibration scores are not finite"):
        fit_knots([*range(38), broken, broken], 0.05)


def test_threshold_by_hand():
    """Scores 1 to 39 at 5 %: rank 38, nudged by a thousandth of its distance from the median."""
    knots = fit_knots(np.arange(1, 40), 0.05)

    assert np.float32(38 + 1e-3 * (38 - 20)) == knots.threshold
    assert [False, False, True, True] == knots.is_ood([38, 38.01, 38.02, 39]).tolist()
    assert np.float32([3 / 40, 2 / 40, 1 / 40, 1]).tolist() == (
        knots.pvalue([38, 39, 40, -5]).tolist()
    )


def test_nudge_is_at_most_half_the_gap():
    """Where the next larger score is near, the threshold stands half way to it."""
    scores = np.append(np.zeros(37), [1000, 1000.5, 1001])

    # rank 39 of 40 is 1000.5; a thousandth of its distance from the median would pass 1001
    assert fit_knots(scores, 0.05).threshold == 1000.75


def test_decisions_survive_rounding():
    """No calibration score changes sides when it moves by a few units in the last place."""
    scores = np.random.default_rng(0).normal(10, 2, 400).astype(np.float32)
    knots = fit_knots(scores, 0.05)
    few_ulp = 4 * np.spacing(scores)

    assert knots.is_ood(scores).tolist() == knots.is_ood(scores + few_ulp).tolist()
    assert knots.is_ood(scores).tolist() == knots.is_ood(scores - few_ulp).tolist()


def test_threshold_accepts_exactly_its_rank():
    """Without ties, as many calibration scores are accepted as the rank says."""
    scores = np.random.default_rng(1).normal(size=400)

    accepted = ~fit_knots(scores, 0.05).is_ood(scores)

    assert exact_rank(400, Fraction(5, 100)) == accepted.sum()


@pytest.mark.parametrize("score", [3.25, -3.25, 1e-6, 1e6])
def test_equal_scores_are_all_accepted(score):
    """A head that says the same for every image flags none, up to a few units of rounding."""
    knots = fit_knots(np.full(50, score), 0.05)
    few_ulp = 4 * np.spacing(np.float32(abs(score)))

    assert not knots.is_ood([score, score + few_ulp, score - few_ulp]).any()


def test_nan_is_flagged_with_the_smallest_pvalue():
    """NaN is no score an ID image has."""
    knots = fit_knots(np.arange(39), 0.05)

    assert knots.is_ood([math.nan]).all()
    assert np.float32(1 / 40) == knots.pvalue([math.nan])[0]


@given(
    st.lists(st.integers(-6, 6).map(lambda i: i / 4), min_size=1, max_size=120),
    st.sampled_from(ALPHAS),
)
def test_decision_and_pvalue_agree_on_tied_scores(scores, alpha):
    """`is_ood` holds exactly when p <= alpha in float32, at every knot and next to it."""
    if len(scores) < minimum_images(alpha):
        return
    knots = fit_knots(scores, alpha)
    queries = neighbours(knots.values)

    assert (knots.pvalue(queries) <= np.float32(alpha)).tolist() == knots.is_ood(queries).tolist()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", [MAX_KNOTS, MAX_KNOTS + 1, 1500, 20_000])
@pytest.mark.parametrize("decimals", [1, 6])
def test_decision_and_pvalue_agree_on_many_scores(n, alpha, decimals):
    """The equivalence survives the thinning to 1,024 knots, tied or not."""
    scores = np.random.default_rng(n).normal(size=n).round(decimals)
    knots = fit_knots(scores, alpha)
    queries = neighbours(knots.values)

    assert (knots.pvalue(queries) <= np.float32(alpha)).tolist() == knots.is_ood(queries).tolist()


@given(st.integers(1, 120), st.data())
@settings(max_examples=50)
def test_decision_and_pvalue_agree_at_attainable_rates(n, data):
    """The equivalence holds for rates that are p-values themselves, m / (n + 1)."""
    alpha = data.draw(st.integers(1, n)) / (n + 1)
    knots = fit_knots(np.arange(n), alpha)
    queries = neighbours(knots.values)

    assert (knots.pvalue(queries) <= np.float32(alpha)).tolist() == knots.is_ood(queries).tolist()


def test_pvalues_count_knots():
    """With all knots kept, p is one plus the number of knots reached, over n + 1."""
    knots = fit_knots(np.random.default_rng(2).normal(size=60).round(1), 0.05)
    queries = neighbours(knots.values)[:-1]
    expected = [np.float32((1 + sum(k >= q for k in knots.values)) / 61) for q in queries]

    assert expected == knots.pvalue(queries).tolist()


def test_thinned_pvalues_round_up():
    """Beyond 1,024 scores p is never smaller than with all of them, and equal in the top 512."""
    scores = np.random.default_rng(3).normal(size=5000).astype(np.float32)
    knots = fit_knots(scores, 0.05)
    nudge = np.float64(knots.values[-1]) - np.float64(scores.max())
    every_knot = np.sort(scores.astype(np.float64) + nudge).astype(np.float32)
    counts = len(every_knot) - np.searchsorted(every_knot, every_knot)
    exact = ((1 + counts) / 5001).astype(np.float32)

    measured = knots.pvalue(every_knot)

    assert (measured >= exact).all()
    assert exact[-512:].tolist() == measured[-512:].tolist()


@pytest.mark.parametrize("n", [1, 1024, 1025, 1026, 1537, 20_000])
@pytest.mark.parametrize("share", [0.1, 0.95, 1.0])
def test_the_top_half_and_the_threshold_are_kept(n, share):
    """At most 1,024 ascending ranks, among them the top 512 and the threshold's."""
    rank = max(1, round(share * n))

    ranks = kept_ranks(n, rank).tolist()

    assert sorted(set(ranks)) == ranks
    assert min(n, MAX_KNOTS) >= len(ranks)
    assert set(range(max(1, n - 511), n + 1)) | {rank} <= set(ranks)
    assert ranks[0] >= 1


@pytest.mark.parametrize("confidence", [0, 0.95])
@pytest.mark.parametrize("n", [60, 1025, 5000])
def test_pvalues_ascend_to_one(n, confidence):
    """One more knot reached is never more suspicious; below all of them p is 1."""
    pvalues = fit_knots(np.arange(n), 0.05, confidence).pvalues

    assert (np.diff(pvalues) >= 0).all()
    assert pvalues[0] > 0
    assert pvalues[-1] == 1


@pytest.mark.parametrize("weights", [[1, 1, 0], [1, 1, 2], [1, 1, -1, 2], [1, 1, math.nan], []])
def test_weights_that_do_not_sum_to_n_are_refused(weights):
    """As a damaged file of format 1 may have them."""
    with pytest.raises(InputError, match="scores of 3"):
        pvalues_of_weights(np.array(weights, np.float32), 3)


@pytest.mark.parametrize(("alpha", "confidence"), [(0.05, 0.95), (0.01, 0.9), (0.1, 0.99)])
def test_minimum_images_with_confidence_is_the_smallest_that_works(alpha, confidence):
    """The first n at which all scores are below 1 - alpha at most so often."""
    expected = next(n for n in range(1, 1000) if (1 - alpha) ** n <= 1 - confidence)

    assert expected == minimum_images(alpha, confidence)


@pytest.mark.parametrize(
    ("alpha", "confidence"), [(0.05, 0.95), (0.05, 0.5), (0.01, 0.9), (0.3, 0.999)]
)
def test_rank_with_confidence_equals_scipy(alpha, confidence):
    """The smallest k with P(Beta(k, n + 1 - k) >= 1 - alpha) >= confidence, by trying all."""
    for n in (minimum_images(alpha, confidence), 500, 3000):
        ranks = np.arange(1, n + 1)
        holds = scipy.stats.beta.sf(1 - alpha, ranks, n + 1 - ranks) >= confidence

        assert ranks[holds.argmax()] == threshold_rank(n, alpha, confidence)


@pytest.mark.parametrize(("n", "confidence"), [(59, 0.95), (500, 0.5), (1000, 0.99)])
def test_pvalues_with_confidence_are_clopper_pearson_bounds(n, confidence):
    """SciPy's one-sided interval for j of n successes ends at the p-value of j knots reached."""
    reached = np.unique(np.linspace(0, n, 12).astype(int))
    expected = [
        scipy.stats.binomtest(int(j), n, alternative="less")
        .proportion_ci(confidence, method="exact")
        .high
        for j in reached
    ]

    found = conformal_pvalues(reached, n, confidence)

    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("confidence", [0.5, 0.95])
@pytest.mark.parametrize("decimals", [1, 6])
def test_decision_and_pvalue_agree_with_confidence(alpha, confidence, decimals):
    """`is_ood` holds exactly when p <= alpha in float32 here, too, thinned and tied or not."""
    for n in (minimum_images(alpha, confidence), 700, 1500):
        scores = np.random.default_rng(n).normal(size=n).round(decimals)
        knots = fit_knots(scores, alpha, confidence)
        queries = neighbours(knots.values)

        decided = knots.pvalue(queries) <= np.float32(alpha)
        assert decided.tolist() == knots.is_ood(queries).tolist()


@given(st.integers(1, 200), st.data())
@settings(max_examples=50, deadline=None)
def test_decision_and_pvalue_agree_at_attainable_rates_with_confidence(n, data):
    """Also where alpha is itself a p-value, so that rounding could carry one across."""
    confidence = data.draw(st.sampled_from([0.5, 0.9, 0.95]))
    alpha = float(conformal_pvalues(np.array([data.draw(st.integers(0, n - 1))]), n, confidence)[0])
    if n < minimum_images(alpha, confidence):
        return
    knots = fit_knots(np.arange(n), alpha, confidence)
    queries = neighbours(knots.values)

    decided = knots.pvalue(queries) <= np.float32(alpha)
    assert decided.tolist() == knots.is_ood(queries).tolist()


@pytest.mark.parametrize("confidence", [-0.1, 1.0, 95, math.nan])
def test_confidence_outside_the_unit_interval_is_refused(confidence):
    """A confidence is 0 or more and less than 1."""
    with pytest.raises(InputError, match="expected a probability between 0 and 1"):
        minimum_images(0.05, confidence)


@pytest.mark.parametrize(
    ("n", "flagged"), [(19, 1 / 20), (59, 3 / 60), (500, 25 / 501)], ids=["19", "59", "500"]
)
def test_false_alarm_rate_holds_on_average(n, flagged):
    """Over many calibration sets, continuous scores are flagged at the promised rate."""
    rng = np.random.default_rng(n)
    sets = 1500
    fresh = rng.random((sets, 40))

    rates = [fit_knots(rng.random(n), 0.05).is_ood(scores).mean() for scores in fresh]

    noise = 4 * np.std(rates) / math.sqrt(sets)
    nudge = 1e-3  # a thousandth of the scores' spread is given away for robustness
    assert flagged - noise - nudge <= np.mean(rates) <= flagged + noise


@pytest.mark.parametrize("n", [19, 59, 500])
def test_false_alarm_rate_is_not_exceeded_with_ties(n):
    """Scores on a coarse grid are flagged no more often than promised."""
    rng = np.random.default_rng(n)
    sets = 800
    fresh = np.floor(8 * rng.random((sets, 40)))

    rates = [fit_knots(np.floor(8 * rng.random(n)), 0.05).is_ood(scores).mean() for scores in fresh]

    assert np.mean(rates) <= 0.05 + 4 * np.std(rates) / math.sqrt(sets)


@pytest.mark.parametrize("n", [30, 1500])
def test_pvalues_are_valid_at_every_rate(n):
    """On ID images P(p <= a) <= a for rates other than the stored one, thinned or not."""
    rng = np.random.default_rng(n)
    sets = 400
    pvalues = np.stack([fit_knots(rng.random(n), 0.1).pvalue(rng.random(50)) for _ in range(sets)])

    for rate in (0.05, 0.1, 0.3, 0.7):
        shares = (pvalues <= np.float32(rate)).mean(axis=1)
        assert shares.mean() <= rate + 4 * shares.std() / math.sqrt(sets)
