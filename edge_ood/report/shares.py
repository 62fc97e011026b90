"""Histograms of a distribution of which only some quantiles are known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["common_edges", "shares_in_bins"]

_LEAST_WIDTH = 1e-6
"""Of the values' size: bins of equal values must have a width, too."""


def common_edges(samples: Sequence[ArrayLike], bins: int) -> NDArray[np.float64]:
    """Edges (bins + 1,) of equal bins from the smallest to the largest of all values."""
    values = np.concatenate([np.asarray(sample, np.float64) for sample in samples])
    low, high = values.min(), values.max()
    margin = max(0.5 * (high - low) / bins, _LEAST_WIDTH * max(1.0, abs(low), abs(high)))
    return np.linspace(low - margin, high + margin, bins + 1)


def shares_in_bins(
    quantiles: ArrayLike, levels: ArrayLike, edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the distribution in each bin; all of it, what lies outside is in the end bins.

    Args:
        quantiles: Ascending values (M,), M >= 1.
        levels: Share (M,) of the distribution up to each, ascending, the last 1. Between two values
            it is spread evenly; what lies below the first is at the first.
        edges: Ascending (B + 1,).
    """
    values, shares = np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    # Of equal values the last says how much lies up to them.
    last = np.append(values[1:] > values[:-1], True)
    upto = np.interp(edges[1:-1], values[last], shares[last], left=0.0)
    found: NDArray[np.float64] = np.diff(np.concatenate([[0.0], upto, [1.0]]))
    return found
