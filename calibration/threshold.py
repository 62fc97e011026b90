"""Conformal thresholds and p-values: calibration scores in, knots out.

With n calibration scores and `k = ceil((n + 1)(1 - alpha))`, the threshold is the k-th smallest
score, nudged upwards by less than half the gap to the next so that rounding in the last bit flips
nobody. All scores are nudged by the same amount and stored as float32 *knots*; the threshold is
the k-th of them. A score s is flagged when `not (s <= threshold)`, so NaN flags, and
`p = (1 + #{knots >= s}) / (n + 1)`, so `p <= alpha` holds exactly when s is flagged.

Finite-sample statement (Vovk et al. 2005; Angelopoulos & Bates 2021, section 1): for a new ID
image exchangeable with the calibration images, P(p <= alpha) <= alpha, averaged over calibration
sets.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import CalibrationError, InputError

__all__ = ["MAX_KNOTS", "Knots", "fit_knots", "kept_ranks", "minimum_images", "threshold_rank"]

MAX_KNOTS = 1024
"""Knots stored per head; p-values round up to the next kept rank."""

_TOP_KNOTS = 512
_NUDGE_OF_SPREAD = 1e-3
_NUDGE_MIN_ULP = 8


@dataclass(frozen=True)
class Knots:
    """What an artefact stores of one head's calibration scores.

    Attributes:
        values: float32 of shape (M,), ascending; M <= 1024.
        weights: float32 of shape (M,); how many of the n scores each knot stands for.
        threshold: The k-th of all n nudged scores, a float32 value.
        n: Number of calibration scores.
    """

    values: NDArray[np.float32]
    weights: NDArray[np.float32]
    threshold: float
    n: int

    def pvalue(self, scores: ArrayLike) -> NDArray[np.float32]:
        """P-values in [1 / (n + 1), 1] of scores (N,); NaN gets the smallest."""
        reached = np.asarray(scores, np.float32)[:, None] <= self.values
        count = reached.astype(np.float32) @ self.weights
        return (count + np.float32(1)) / np.float32(self.n + 1)

    def is_ood(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Decision for scores (N,): `not (score <= threshold)`."""
        return ~(np.asarray(scores, np.float32) <= np.float32(self.threshold))


def minimum_images(alpha: float) -> int:
    """Smallest number of calibration images that can hold a false-alarm rate: 19 for 5 %.

    Raises:
        InputError: If alpha is not in (0, 1).
    """
    if not 0 < alpha < 1 or math.isinf(1 / alpha):
        raise InputError(f"alpha is {alpha!r}, expected a rate between 0 and 1", hint="try 0.05")
    # The smallest n with ceil((n + 1)(1 - alpha)) <= n; the tolerance absorbs 1 / 0.05 = 20.0...1
    return math.ceil(1 / alpha - 1 - 1e-9)


def threshold_rank(n: int, alpha: float) -> int:
    """Rank k in 1..n of the score that becomes the threshold, `ceil((n + 1)(1 - alpha))`.

    Raises:
        CalibrationError: If n is too small for alpha.
    """
    needed = minimum_images(alpha)
    if n < needed:
        raise CalibrationError(
            f"{n} calibration scores cannot give a {100 * alpha:.3g}% false-alarm threshold",
            hint=f"use at least {needed}" + (f", or --alpha {_within_reach(n)}" if n else ""),
        )
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


def _within_reach(n: int) -> str:
    """The smallest rate in whole percent that n scores can hold."""
    return f"{math.ceil(100 / (n + 1)) / 100:.2f}"


def fit_knots(scores: ArrayLike, alpha: float) -> Knots:
    """Threshold and p-value knots of one head.

    Args:
        scores: Calibration scores, shape (n,), larger = more out-of-distribution.
        alpha: False-alarm rate in (0, 1).

    Returns:
        The knots; at most 1,024 of them.

    Raises:
        CalibrationError: If n is too small for alpha, or a score is not finite.
    """
    ordered = np.sort(np.asarray(scores, np.float32).astype(np.float64))
    if not np.isfinite(ordered).all():
        broken = int((~np.isfinite(ordered)).sum())
        raise CalibrationError(f"{broken} of {len(ordered)} calibration scores are not finite")
    rank = threshold_rank(len(ordered), alpha)
    nudged = (ordered + _nudge(ordered, rank)).astype(np.float32)
    ranks = kept_ranks(len(ordered), rank)
    return Knots(
        values=nudged[ranks - 1],
        weights=np.diff(ranks, prepend=0).astype(np.float32),
        threshold=float(nudged[rank - 1]),
        n=len(ordered),
    )


def kept_ranks(n: int, rank: int) -> NDArray[np.int64]:
    """Ascending 1-based ranks kept of n: all, or the top 512, the k-th and even quantiles."""
    if n <= MAX_KNOTS:
        return np.arange(1, n + 1)
    top = np.arange(n - _TOP_KNOTS + 1, n + 1)
    below = np.linspace(1, n - _TOP_KNOTS, MAX_KNOTS - _TOP_KNOTS - 1).round().astype(np.int64)
    return np.unique(np.concatenate([below, [rank], top]))


def _nudge(ordered: NDArray[np.float64], rank: int) -> float:
    """How far all scores are raised, given them ascending and the threshold's rank."""
    cut = ordered[rank - 1]
    larger = ordered[ordered > cut]
    half_gap = (larger[0] - cut) / 2 if len(larger) else math.inf
    spread = _NUDGE_OF_SPREAD * (cut - np.median(ordered))
    least = _NUDGE_MIN_ULP * float(np.spacing(np.float32(abs(cut))))
    return float(max(min(half_gap, spread), least))
