"""Histograms from quantiles: all of the distribution is in some bin, and in the right one."""

import numpy as np
import pytest

from edge_ood.report.shares import common_edges, shares_in_bins


def test_shares_are_those_of_a_histogram() -> None:
    """Percentiles of a large sample give its histogram, to the share between two of them."""
    sample = np.random.default_rng(0).normal(-7, 3, 100_000)
    edges = np.linspace(-16, 3, 20)
    quantiles = np.percentile(sample, np.arange(101))

    shares = shares_in_bins(quantiles, np.linspace(0, 1, 101), edges)

    counts, _ = np.histogram(np.clip(sample, -16, 3), edges)
    np.testing.assert_allclose(counts / len(sample), shares, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("quantiles", "levels", "expected"),
    [
        ([0, 4], [0, 1], [0.25, 0.25, 0.5]),
        ([1.5], [1], [0, 1, 0]),
        ([0.5, 0.5, 3], [0.25, 0.5, 1], [0.6, 0.2, 0.2]),
        ([-9, 9], [0.5, 1], [0.5 + 0.5 * 10 / 18, 0.5 / 18, 0.5 * 7 / 18]),
    ],
)
def test_mass_is_spread_evenly_between_quantiles(
    quantiles: list[float], levels: list[float], expected: list[float]
) -> None:
    """Ties are a jump, what lies below the first is there, and the ends take what lies outside."""
    shares = shares_in_bins(quantiles, levels, np.array([0.0, 1.0, 2.0, 4.0]))

    assert shares.tolist() == pytest.approx(expected)
    assert pytest.approx(1) == shares.sum()


@pytest.mark.parametrize("samples", [[[3.0, 5.0], [-1.0]], [[2.0, 2.0]], [[0.0]], [[-1e30, 1e30]]])
def test_edges_hold_every_value(samples: list[list[float]]) -> None:
    """Bins are equal, rising, and around all values, equal ones too."""
    edges = common_edges(samples, 10)

    values = np.concatenate(samples)
    widths = np.diff(edges)
    assert 11 == len(edges)
    assert edges[0] < values.min()
    assert edges[-1] > values.max()
    assert (widths > 0).all()
    np.testing.assert_allclose(widths[0], widths, rtol=1e-6)
