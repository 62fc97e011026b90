"""The sentence that a user reads: its numbers are those of the beta distribution."""

import re

import pytest
from scipy import stats

from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.statement import statement
from edge_ood.errors import CalibrationError


def percentages(sentence: str) -> list[str]:
    """All of them, in order."""
    return re.findall(r"([\d.]+) %", sentence)


@pytest.mark.parametrize(("n", "alpha", "rank"), [(19, 0.05, 19), (500, 0.05, 476), (99, 0.1, 90)])
def test_rates_between_which_the_average_lies(n: int, alpha: float, rank: int) -> None:
    """The rate, and the interval that holds nine in ten of the rates in use."""
    low, high = stats.beta.interval(0.9, n + 1 - rank, rank)

    found = statement(Guarantee(alpha), n)

    expected = [alpha, 0.9, low, high]
    assert [f"{100 * share:.3g}" for share in expected] == percentages(found)
    assert f"averaged over all calibration sets of {n} images" in found


@pytest.mark.parametrize(("n", "rank"), [(59, 59), (500, 484)])
def test_the_share_of_calibration_sets_that_hold_the_rate(n: int, rank: int) -> None:
    """The rate, the confidence, and the mean of the rates in use."""
    ranks = [rank, rank - 1]
    holds = stats.beta.sf(0.95, ranks, [n + 1 - r for r in ranks]) >= 0.95
    assert [True, False] == holds.tolist()

    found = statement(Guarantee(0.05, 0.95), n)

    expected = [0.05, 0.95, (n + 1 - rank) / (n + 1)]
    assert [f"{100 * share:.3g}" for share in expected] == percentages(found)


def test_too_few_images_promise_nothing() -> None:
    """There is no such sentence."""
    with pytest.raises(CalibrationError, match="18 calibration scores cannot give"):
        statement(Guarantee(), 18)
