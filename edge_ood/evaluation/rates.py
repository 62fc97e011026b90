"""Rates and their intervals in tables of text."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edge_ood.files.plain_table import format_table

if TYPE_CHECKING:
    from edge_ood.evaluation.results import ArtifactResult, Interval

__all__ = ["heads_table", "percent", "percent_range", "rate_rows"]


def percent(rate: float) -> str:
    """A rate as a percentage with two decimals, without its sign; `n/a` for NaN."""
    return "n/a" if math.isnan(rate) else f"{100 * rate:.2f}"


def percent_range(interval: "Interval") -> str:
    """Both ends as percentages with one decimal: at most nine letters."""
    if math.isnan(interval.low):
        return "n/a"
    low, high = (
        f"{100 * end:.1f}".replace("100.0", "100") for end in (interval.low, interval.high)
    )
    return f"{low}-{high}"


def rate_rows(
    title: Sequence[str],
    rates: Sequence[float],
    intervals: "Sequence[Interval | None]",
    *,
    level: float,
) -> list[tuple[str, ...]]:
    """A row of a table, and below it one with the intervals if there are any.

    Args:
        title: The cells before the rates, at least one.
        rates: One for each column after them.
        intervals: Those of the rates, None where one has none.
        level: Confidence of the intervals.
    """
    rows = [(*title, *map(percent, rates))]
    if any(interval is not None for interval in intervals):
        cells = ("" if interval is None else percent_range(interval) for interval in intervals)
        rows.append((f"  {100 * level:.4g} %", *[""] * (len(title) - 1), *cells))
    return rows


def heads_table(
    model: "ArtifactResult",
    columns: Mapping[str, str],
    rates: Mapping[str, Mapping[str, float]],
    intervals: "Mapping[str, Mapping[str, Interval]]",
    level: float,
) -> str:
    """One row per head, below it one with its intervals where there are any.

    Args:
        model: Whose heads they are: the primary one is marked, the best one on top.
        columns: Headings by the name of a rate.
        rates: By head and name.
        intervals: By head and name.
        level: Confidence of the intervals.
    """
    rows = []
    for head in (head for head in model.ranked_heads if head in rates):
        of_head = rates[head]
        marked = f"{head} *" if head == model.primary else head
        found = intervals.get(head, {})
        rows += rate_rows(
            (marked,),
            [of_head[name] for name in columns],
            [found.get(name) for name in columns],
            level=level,
        )
    return format_table(("head", *columns.values()), rows)
