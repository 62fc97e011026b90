"""Numbers as pages show them: one way for each kind, so that no two places differ."""

import math

__all__ = [
    "count",
    "duration",
    "megabytes",
    "number",
    "percent",
    "percent_range",
    "pvalue",
    "rounded",
    "whole",
]

_TEN = 9.95  # which would be written with two digits before the point
_NOTHING = "n/a"
_SMALLEST_PVALUE = 1e-4
_MEGABYTE = 1e6
_MINUTE_S = 60


def percent(rate: float) -> str:
    """A rate in [0, 1] as `12.3%`; `n/a` for NaN."""
    return _NOTHING if math.isnan(rate) else f"{rate:.1%}"


def rounded(value: float) -> str:
    """A count that is a mean, as `48` or `4.8`; `n/a` for NaN."""
    if math.isnan(value):
        return _NOTHING
    return f"{value:,.0f}" if value >= _TEN else f"{value:.1f}"


def whole(rate: float) -> str:
    """A rate in [0, 1] as `12%`; `n/a` for NaN."""
    return _NOTHING if math.isnan(rate) else f"{rate:.0%}"


def percent_range(low: float, high: float) -> str:
    """Two rates in [0, 1], such as the ends of an interval, as `12.3 to 13.1%`."""
    return _NOTHING if math.isnan(low + high) else f"{100 * low:.1f} to {percent(high)}"


def count(n: int) -> str:
    """A whole number as `12,345`."""
    return f"{n:,}"


def number(value: float) -> str:
    """A score or another value without a unit, with four significant digits."""
    return _NOTHING if math.isnan(value) else f"{value:.4g}"


def pvalue(value: float) -> str:
    """A p-value as `0.0312`; it is never 0, and so never looks like it."""
    if math.isnan(value):
        return _NOTHING
    return f"<{_SMALLEST_PVALUE:.4f}" if value < _SMALLEST_PVALUE else f"{value:.4f}"


def duration(seconds: float) -> str:
    """A time as `3 h 05 min`, `2 min 07 s` or `41.3 s`."""
    if math.isnan(seconds):
        return _NOTHING
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    if minutes < _MINUTE_S:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // _MINUTE_S} h {minutes % _MINUTE_S:02d} min"


def megabytes(n_bytes: int) -> str:
    """A file size as `12.34 MB`, of a million bytes each."""
    return f"{n_bytes / _MEGABYTE:.2f} MB"
