"""Coverage by simulation: the shipped code on thousands of calibration sets, true rates exact.

Scores are uniform, so that the share of new images which a threshold flags is known and not
sampled. A count of calibration sets is binomial; bounds are its quantiles at one in a million.
"""

import numpy as np
import pytest
from scipy import stats

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
