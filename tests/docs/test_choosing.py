"""Numbers on the page about choosing that follow from a formula."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "choosing.md").read_text("utf-8")
stats = pytest.importorskip("scipy.stats")

CELL = r"(?:(\d+\.\d\d) to (\d+\.\d\d)|-)"
ROWS = re.findall(rf"^\| (\d+) \| {CELL} \| {CELL} \| (\d+\.\d\d|-) \|$", PAGE, re.MULTILINE)


def middle(n: int, alpha: float) -> list[str]:
    """The 5 % and the 95 % quantile of a threshold's false-alarm rate, in percent."""
    rank = math.ceil(round((n + 1) * (1 - alpha), 9))
    if rank > n:
        return ["", ""]
    return [f"{100 * q:.2f}" for q in stats.beta(n + 1 - rank, rank).ppf([0.05, 0.95])]


def mean_with_confidence(n: int, alpha: float, confidence: float) -> str:
    """The mean rate of the lowest threshold that is high enough for this share of sets."""
    ranks = np.arange(1, n + 1)
    enough = ranks[stats.beta.cdf(alpha, n + 1 - ranks, ranks) >= confidence]
    return f"{100 * (n + 1 - enough[0]) / (n + 1):.2f}" if len(enough) else "-"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_rates_by_number_of_images_follow_from_the_beta_distribution(row: tuple[str, ...]) -> None:
    """SciPy gives the same intervals and means as the table."""
    n = int(row[0])

    assert [*middle(n, 0.05), *middle(n, 0.01)] == list(row[1:5])
    assert mean_with_confidence(n, 0.05, 0.95) == row[5]


def test_the_table_of_rates_is_there() -> None:
    """The pattern that the test above reads fits the page."""
    assert 6 == len(ROWS)
