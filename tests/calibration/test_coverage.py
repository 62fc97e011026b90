"""Coverage by simulation: the shipped code on thousands of calibration sets, true rates exact.

Scores are uniform, so that the share of new images which a threshold flags is known and not
sampled. A count of calibration sets is binomial; bounds are its quantiles at one in a million.
"""

import math

import numpy as np
import pytest
from scipy import stats

from edge_ood.calibration.combination import COMBINED, fit_combination
from edge_ood.calibration.decision import fit_combined, fit_decision
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import fit_knots, threshold_rank

ALPHA, CONFIDENCE = 0.05, 0.95
SETS = 2000
ONE_IN_A_MILLION = 1e-6
NUDGE = 1e-3  # thresholds are raised by up to a thousandth of the scores' spread, which is 1
LEVELS = 8


def flagged_share(threshold: float, levels: int | None) -> float:
    """Share of new images above a threshold, of scores in [0, 1), continuous or on a grid."""
    if levels is None:
        return 1 - min(max(threshold, 0.0), 1.0)
    return float((np.arange(levels) / levels > threshold).mean())


def rates_in_use(n: int, confidence: float, levels: int | None) -> np.ndarray:
    """The true false-alarm rate of each of many calibrations on n images."""
    draws = np.random.default_rng(n).random((SETS, n))
    scores = draws if levels is None else np.floor(levels * draws) / levels
    return np.array(
        [flagged_share(fit_knots(s, ALPHA, confidence).threshold, levels) for s in scores]
    )


@pytest.mark.parametrize("levels", [None, LEVELS], ids=["continuous", "tied"])
@pytest.mark.parametrize("n", [59, 500])
def test_confidence_is_the_share_of_sets_that_hold_the_rate(n: int, levels: int | None) -> None:
    """The rate is exceeded for no more than 5 % of the sets."""
    exceeded = int((rates_in_use(n, CONFIDENCE, levels) > ALPHA).sum())

    assert exceeded <= stats.binom.isf(ONE_IN_A_MILLION, SETS, 1 - CONFIDENCE)


@pytest.mark.parametrize("n", [59, 500])
def test_no_more_is_given_away_than_ranks_demand(n: int) -> None:
    """As many sets exceed the rate as the beta distribution of the rank says, nudge aside."""
    rank = threshold_rank(n, ALPHA, CONFIDENCE)
    share = stats.beta.sf(ALPHA + NUDGE, n + 1 - rank, rank)

    exceeded = int((rates_in_use(n, CONFIDENCE, None) > ALPHA).sum())

    assert exceeded >= stats.binom.ppf(ONE_IN_A_MILLION, SETS, share)


@pytest.mark.parametrize("n", [59, 500])
def test_the_average_alone_would_not_hold_the_rate_so_often(n: int) -> None:
    """Without confidence about every second set exceeds the rate: what the option is for."""
    rates = rates_in_use(n, 0, None)

    assert rates.mean() <= ALPHA
    assert (rates > ALPHA).mean() > 0.3


def tolerance(rates: np.ndarray) -> float:
    """How far the mean of independent rates may be off by chance: five standard errors."""
    return 5 * float(rates.std()) / math.sqrt(len(rates))


@pytest.mark.parametrize("n", [19, 59, 500])
@pytest.mark.parametrize("levels", [None, LEVELS], ids=["continuous", "tied"])
def test_the_rate_is_held_on_average(n: int, levels: int | None) -> None:
    """The plain threshold, by the mean of the true rates."""
    rates = rates_in_use(n, 0, levels)

    assert rates.mean() <= ALPHA + tolerance(rates)


@pytest.mark.parametrize("confidence", [0, CONFIDENCE])
def test_each_class_holds_the_rate(confidence: float) -> None:
    """Classes whose scores lie elsewhere; one threshold for all would flag one of them alone."""
    shifts = np.array([0.0, 0.5, 1.0])
    generator = np.random.default_rng(0)
    own, shared = [], []
    for _ in range(SETS // 5):
        labels = generator.choice(3, 500, p=[0.5, 0.4, 0.1])
        if np.bincount(labels).min() < 19:
            continue
        scores = {"head": (generator.random(500) + shifts[labels]).astype(np.float32)}
        per_class = fit_decision(scores, labels, 3, Guarantee(ALPHA, per_class=True))
        pooled = fit_decision(scores, labels, 3, Guarantee(ALPHA))
        own.append(1 - np.clip(per_class.limits("head", np.arange(3)) - shifts, 0, 1))
        shared.append(1 - np.clip(pooled.limits("head", np.arange(3)) - shifts, 0, 1))

    rates = np.array(own)

    for of_class in rates.T:
        assert of_class.mean() <= ALPHA + tolerance(of_class)
        assert of_class.mean() >= ALPHA / 2
    assert np.mean(shared, axis=0)[2] > 5 * ALPHA


def accepted_shares(n: int, heads: int, *, in_sample: bool) -> np.ndarray:
    """Shares of new images that a combined score of independent heads accepts, by set."""
    generator = np.random.default_rng(n)
    names = [f"head{i}" for i in range(heads)]

    def draw(count: int) -> dict[str, np.ndarray]:
        return {name: generator.random(count).astype(np.float32) for name in names}

    shares = []
    for _ in range(SETS // 4):
        known, fresh = draw(n), draw(500)
        first_half = np.arange(n) < n // 2
        labels = np.zeros(n, np.int64)
        if in_sample:
            combination = fit_combination(known, "largest")
            knots = fit_knots(combination.score(known), ALPHA)
            flagged = knots.is_ood(combination.score(fresh))
        else:
            alone = fit_decision(known, labels, 2, Guarantee(ALPHA))
            both = fit_combined(alone, known, labels, first_half, Guarantee(ALPHA, combined=True))
            assert both.combined
            scores = both.combined.combination.score(fresh)
            flagged = both.is_ood(COMBINED, scores, np.zeros(500, np.int64))
        shares.append(1 - flagged.mean())
    return np.array(shares)


@pytest.mark.parametrize("n", [38, 118, 1000])
def test_a_combined_score_holds_the_rate(n: int) -> None:
    """Five independent heads, whose sum of surprises is calibrated on the other half."""
    shares = accepted_shares(n, 5, in_sample=False)

    assert shares.mean() >= 1 - ALPHA - tolerance(shares)
    assert shares.mean() <= 1 - ALPHA + 0.01


def test_images_that_fix_pvalues_cannot_calibrate_their_minimum() -> None:
    """With 19 images for both, 0.95 ** 5 = .77 of new images are accepted: why there are halves."""
    shares = accepted_shares(19, 5, in_sample=True)

    assert abs(shares.mean() - (1 - ALPHA) ** 5) < 0.02


def test_an_ood_image_is_told_beyond_all_calibration_scores() -> None:
    """P-values tie at 1 / 20 there; the combined score goes on to grow, so that it can flag."""
    generator = np.random.default_rng(0)
    known = {name: generator.random(38).astype(np.float32) for name in "abcde"}
    labels, first_half = np.zeros(38, np.int64), np.arange(38) < 19
    alone = fit_decision(known, labels, 2, Guarantee())
    both = fit_combined(alone, known, labels, first_half, Guarantee(combined=True))
    ood_scores = {name: np.array([3.0 if name == "c" else 0.5], np.float32) for name in "abcde"}
    assert both.combined

    assert both.is_ood(
        COMBINED, both.combined.combination.score(ood_scores), np.zeros(1, np.int64)
    ).all()


@pytest.mark.parametrize("score", [1.0, -1e-3, 100.0])
def test_rounding_moves_no_calibration_image(score: float) -> None:
    """On another device its score is a few units of float32 off, and not its combined score."""
    generator = np.random.default_rng(0)
    known = {name: (score + generator.random(20)).astype(np.float32) for name in "ab"}
    combination = fit_combination(known)
    expected = combination.score(known)

    for sign in (-1, 1):
        moved = {name: s + sign * 4 * np.spacing(np.abs(s)) for name, s in known.items()}
        np.testing.assert_array_equal(expected, combination.score(moved))
