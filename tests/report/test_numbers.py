"""One way to show each kind of number."""

import math

import pytest

from edge_ood.report import numbers


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        ("48", numbers.rounded(47.85)),
        ("9.9", numbers.rounded(9.94)),
        ("10", numbers.rounded(9.96)),
        ("n/a", numbers.rounded(math.nan)),
        ("6%", numbers.whole(0.0601)),
        ("n/a", numbers.whole(math.nan)),
        ("95.0%", numbers.percent(0.95)),
        ("0.0%", numbers.percent(0.0)),
        ("n/a", numbers.percent(math.nan)),
        ("94.1 to 95.9%", numbers.percent_range(0.941, 0.959)),
        ("n/a", numbers.percent_range(math.nan, 1.0)),
        ("1,234,567", numbers.count(1234567)),
        ("-12.35", numbers.number(-12.3456)),
        ("1.235e-05", numbers.number(1.23456e-5)),
        ("n/a", numbers.number(math.nan)),
        ("0.0312", numbers.pvalue(0.03123)),
        ("1.0000", numbers.pvalue(1.0)),
        ("0.0001", numbers.pvalue(1e-4)),
        ("<0.0001", numbers.pvalue(0.99e-4)),
        ("n/a", numbers.pvalue(math.nan)),
        ("1.50 MB", numbers.megabytes(1_500_000)),
        ("41.3 s", numbers.duration(41.26)),
        ("1 min 00 s", numbers.duration(60.0)),
        ("2 min 07 s", numbers.duration(126.9)),
        ("3 h 05 min", numbers.duration(3 * 3600 + 5 * 60 + 59)),
        ("n/a", numbers.duration(math.nan)),
    ],
)
def test_numbers_have_one_form(expected: str, shown: str) -> None:
    """Rates, counts, scores, p-values, sizes and times; what is not a number is `n/a`."""
    assert expected == shown
