"""Rates and intervals in tables of text."""

import math

import pytest

from edge_ood.evaluation.rates import percent, percent_range, rate_rows
from edge_ood.evaluation.values import Interval


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.98765, "98.77"), (1.0, "100.00"), (0.0, "0.00"), (math.nan, "n/a")]
)
def test_a_rate_has_two_decimals(rate: float, shown: str) -> None:
    """As a percentage, without its sign."""
    assert shown == percent(rate)


@pytest.mark.parametrize(
    ("ends", "shown"),
    [
        ((0.1234, 0.4567), "12.3-45.7"),
        ((0.9996, 1.0), "100-100"),
        ((0.0, 1.0), "0.0-100"),
        ((math.nan, math.nan), "n/a"),
    ],
)
def test_an_interval_takes_nine_letters(ends: tuple[float, float], shown: str) -> None:
    """One decimal, and none for all."""
    assert shown == percent_range(Interval(*ends))
    assert len(shown) <= 9


def test_intervals_stand_below_their_rates() -> None:
    """In the same columns, empty where a rate has none."""
    rows = rate_rows(("a", "b"), [0.5, 0.25], [None, Interval(0.2, 0.3)], level=0.9)

    assert [("a", "b", "50.00", "25.00"), ("  90 %", "", "", "20.0-30.0")] == rows


def test_without_intervals_there_is_one_row() -> None:
    """Nothing stands below."""
    assert [("a", "50.00")] == rate_rows(("a",), [0.5], [None], level=0.95)
