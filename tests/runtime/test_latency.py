"""Percentiles of latencies against NumPy's, and their memory."""

import math

import numpy as np
import pytest

from edge_ood.runtime.latency import Latencies

WIDTH = 0.01


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
@pytest.mark.parametrize("n", [1, 2, 3, 100, 1000])
def test_percentiles_are_numpys_within_a_bin(n: int, percent: int) -> None:
    """Nearest rank, whatever the distribution."""
    times = np.random.default_rng(n).lognormal(-4, 1, n)
    latencies = Latencies()
    for seconds in times:
        latencies.add(float(seconds))

    expected = np.percentile(times, percent, method="inverted_cdf")
    assert expected == pytest.approx(latencies.percentile(percent), rel=WIDTH)
    assert n == len(latencies)


def test_memory_is_bounded_by_the_range() -> None:
    """A million images from a microsecond to a minute need a few thousand numbers."""
    latencies = Latencies()
    for exponent in np.random.default_rng(0).uniform(-6, 2, 20_000):
        latencies.add(10**exponent)

    assert len(latencies._counts) <= math.ceil(8 / math.log10(1 + WIDTH))


def test_a_clock_that_stands_still_is_no_error() -> None:
    """Nor are no times at all."""
    latencies = Latencies()
    assert math.isnan(latencies.percentile(50))

    latencies.add(0.0)

    assert latencies.percentile(50) < 1e-8


def test_the_summary_is_in_milliseconds() -> None:
    """Three percentiles on one line."""
    latencies = Latencies()
    for _ in range(90):
        latencies.add(0.01)
    for _ in range(10):
        latencies.add(0.1)

    shown = dict(part.split()[:2] for part in latencies.summary().partition(": ")[2].split(", "))
    expected = {"p50": 10, "p95": 100, "p99": 100}
    assert expected == {key: pytest.approx(float(value), rel=WIDTH) for key, value in shown.items()}
