"""Conformal thresholds and p-values: calibration scores in, knots out.

With n calibration scores the threshold is the k-th smallest, nudged upwards by less than half the
gap to the next so that rounding in the last bit flips nobody. All scores are nudged by the same
amount and stored as float32 *knots*; the threshold is the k-th of them. A score s is flagged when
`not (s <= threshold)`, so NaN flags, and its p-value is a function of j, the number of knots >= s:

    confidence 0:  k = ceil((n + 1)(1 - alpha))                          p = (1 + j) / (n + 1)
    otherwise:     k the smallest with P(Beta(k, n + 1 - k) >= 1 - alpha) >= confidence
                   p = the `confidence` quantile of Beta(j + 1, n - j), 1 where j = n

`p <= alpha` holds exactly when s is flagged. Finite-sample statements, for new images exchangeable
with the calibration images:

- Confidence 0 (Vovk et al. 2005; Angelopoulos & Bates 2021, section 1): P(p <= a) <= a for every a,
  averaged over calibration sets.
- Otherwise, for independent images (Vovk 2012, arXiv:1209.2673, conditional validity on the
  training set; Angelopoulos & Bates 2021, section 3.2): for every rate a that was fixed beforehand,
  the calibration set is with probability `confidence` such that P(p <= a) <= a from now on. The
  share of new images below the k-th of n continuous scores is Beta(k, n + 1 - k); ties only raise
  it. This p is the Clopper-Pearson upper bound of the share of ID images whose score is at
  least s. Bates et al. 2023, arXiv:2104.08279, adjust p-values so that one event covers all rates
  at once; those here are smaller, and the event is that of one rate.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import CalibrationError, InputError
from edge_ood.metrics.beta import beta_cdf, beta_quantile

__all__ = [
    "MAX_KNOTS",
    "Knots",
    "conformal_pvalues",
    "fit_knots",
    "kept_ranks",
    "minimum_images",
    "pvalues_of_weights",
    "threshold_rank",
]

MAX_KNOTS = 1024
"""Knots stored per head; p-values round up to the next kept rank."""

_NUDGE_OF_SPREAD = 1e-3
_NUDGE_MIN_ULP = 8
_TOLERANCE = 1e-9
"""Absorbs 1 / 0.05 = 20.0...1 and the like."""


@dataclass(frozen=True)
class Knots:
    """What an artefact stores of one head's calibration scores.

    Attributes:
        values: float32 of shape (M,), ascending; M <= 1024.
        pvalues: float32 of shape (M + 1,), ascending; by the number of knots that are reached.
        threshold: The k-th of all n nudged scores, a float32 value.
    """

    values: NDArray[np.float32]
    pvalues: NDArray[np.float32]
    threshold: float

    def pvalue(self, scores: ArrayLike) -> NDArray[np.float32]:
        """P-values in (0, 1] of scores (N,); NaN gets the smallest."""
        reached = np.asarray(scores, np.float32)[:, None] <= self.values
        pvalues: NDArray[np.float32] = self.pvalues[reached.sum(axis=1)]
        return pvalues

    def is_ood(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Decision for scores (N,): `not (score <= threshold)`."""
        return ~(np.asarray(scores, np.float32) <= np.float32(self.threshold))


def minimum_images(alpha: float, confidence: float = 0.0) -> int:
    """Smallest number of calibration images that can hold a false-alarm rate.

    Args:
        alpha: The rate; 5 % needs 19 images.
        confidence: Probability over calibration sets with which it is held; 0 for on average. 5 %
            with 95 % needs 59 images.

    Raises:
        InputError: If alpha is not in (0, 1), or confidence not in [0, 1).

    Example:
        >>> minimum_images(0.05), minimum_images(0.05, confidence=0.95)
        (19, 59)
    """
    if not 0 < alpha < 1 or math.isinf(1 / alpha):
        raise InputError(f"alpha is {alpha!r}, expected a rate between 0 and 1", hint="try 0.05")
    if not 0 <= confidence < 1:
        raise InputError(
            f"confidence is {confidence!r}, expected a probability between 0 and 1", hint="try 0.95"
        )
    # On average: the smallest n with ceil((n + 1)(1 - alpha)) <= n. With confidence: the smallest
    # whose largest score has 1 - alpha of the images below it so often, 1 - (1 - alpha) ** n.
    average = math.ceil(1 / alpha - 1 - _TOLERANCE)
    held = math.ceil(math.log1p(-confidence) / math.log1p(-alpha) - _TOLERANCE)
    return max(1, held) if confidence else average


def threshold_rank(n: int, alpha: float, confidence: float = 0.0) -> int:
    """Rank k in 1..n of the score that becomes the threshold.

    Raises:
        CalibrationError: If n is too small for alpha and confidence.

    Example:
        >>> threshold_rank(99, alpha=0.05)  # 100 * 0.95
        95
    """
    needed = minimum_images(alpha, confidence)
    if n < needed:
        certainty = f" with {100 * confidence:.4g}% confidence" if confidence else ""
        within_reach = _within_reach(n, confidence)
        raise CalibrationError(
            f"{n} calibration scores cannot give a {100 * alpha:.3g}% false-alarm threshold"
            + certainty,
            hint=f"use at least {needed}" + (f", or --alpha {within_reach}" * bool(within_reach)),
        )
    if not confidence:
        return math.ceil((n + 1) * (1 - alpha) - _TOLERANCE)
    return _rank_with_confidence(n, alpha, confidence)


@functools.lru_cache(maxsize=4096)  # the same for all heads, and for classes of the same size
def _rank_with_confidence(n: int, alpha: float, confidence: float) -> int:
    """Smallest k with P(Beta(k, n + 1 - k) >= 1 - alpha) >= confidence; k = n has it."""
    short, enough = 0, n
    while enough - short > 1:
        middle = (short + enough) // 2
        if beta_cdf(alpha, n + 1 - middle, middle) >= confidence - _TOLERANCE:
            enough = middle
        else:
            short = middle
    return enough


def _within_reach(n: int, confidence: float) -> str:
    """The smallest rate in whole percent that n scores can hold, or nothing."""
    if not n:
        return ""
    smallest = -math.expm1(math.log1p(-confidence) / n) if confidence else 1 / (n + 1)
    percent = math.ceil(100 * smallest)
    return f"{percent / 100:.2f}" if percent < 100 else ""


def fit_knots(
    scores: ArrayLike, alpha: float, confidence: float = 0.0, *, limit: int = MAX_KNOTS
) -> Knots:
    """Threshold and p-value knots of one head.

    Args:
        scores: Calibration scores, shape (n,), larger = more out-of-distribution.
        alpha: False-alarm rate in (0, 1).
        confidence: Probability over calibration sets with which it is held; 0 for on average.
        limit: Most knots, 64 or more.

    Returns:
        The knots.

    Raises:
        CalibrationError: If n is too small for alpha and confidence, or a score is not finite.

    Example:
        >>> knots = fit_knots(range(1, 20), alpha=0.05)  # the threshold is the largest of 19
        >>> knots.is_ood([19, 20]).tolist()
        [False, True]
        >>> print(knots.pvalue([10.5, 20]))  # (1 + 9) / 20 and 1 / 20
        [0.5  0.05]
    """
    ordered = np.sort(np.asarray(scores, np.float32).astype(np.float64))
    if not np.isfinite(ordered).all():
        broken = int((~np.isfinite(ordered)).sum())
        raise CalibrationError(f"{broken} of {len(ordered)} calibration scores are not finite")
    rank = threshold_rank(len(ordered), alpha, confidence)
    nudged = (ordered + _nudge(ordered, rank)).astype(np.float32)
    ranks = kept_ranks(len(ordered), rank, limit)
    return Knots(
        values=nudged[ranks - 1],
        pvalues=_pvalue_table(len(ordered), alpha, confidence, limit),
        threshold=float(nudged[rank - 1]),
    )


def kept_ranks(n: int, rank: int, limit: int = MAX_KNOTS) -> NDArray[np.int64]:
    """Ascending 1-based ranks kept of n: all, or the top half, the k-th and even quantiles.

    Example:
        >>> kept_ranks(10, rank=7, limit=4).tolist()
        [1, 7, 9, 10]
    """
    if n <= limit:
        return np.arange(1, n + 1)
    top = limit // 2
    below = np.linspace(1, n - top, limit - top - 1).round().astype(np.int64)
    return np.unique(np.concatenate([below, [rank], np.arange(n - top + 1, n + 1)]))


def conformal_pvalues(
    counts: NDArray[np.int64], n: int, confidence: float = 0.0
) -> NDArray[np.float32]:
    """P-values of scores that `counts` of n calibration scores reach, as the module describes.

    Example:
        >>> import numpy as np
        >>> print(conformal_pvalues(np.array([0, 9, 19]), n=19))
        [0.05 0.5  1.  ]
    """
    if not confidence:
        return (np.float32(1) + counts.astype(np.float32)) / np.float32(n + 1)
    pvalues = np.ones(counts.shape)
    below = counts < n
    pvalues[below] = beta_quantile(confidence, counts[below] + 1, n - counts[below])
    return pvalues.astype(np.float32)


def pvalues_of_weights(weights: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """P-values (M + 1,) of knots that stand for `weights` (M,) of n scores, on average.

    Raises:
        InputError: If the weights are no whole numbers >= 1 that sum to n.

    Example:
        >>> import numpy as np
        >>> print(pvalues_of_weights(np.array([1, 2], np.float32), n=3))
        [0.25 0.75 1.  ]
    """
    with np.errstate(invalid="ignore"):
        counts = np.append(0, np.cumsum(weights[::-1].astype(np.int64)))
    if not (weights >= 1).all() or counts[-1] != n:
        raise InputError(f"knots that stand for {counts[-1]} scores of {n}")
    return conformal_pvalues(counts, n)


@functools.lru_cache(maxsize=4096)
def _pvalue_table(n: int, alpha: float, confidence: float, limit: int) -> NDArray[np.float32]:
    """P-values (M + 1,) by the number of kept knots that are reached."""
    rank = threshold_rank(n, alpha, confidence)
    ranks = kept_ranks(n, rank, limit)
    # Whoever reaches a kept rank counts as reaching all down to the one kept before it.
    pvalues = conformal_pvalues(n - np.append(0, ranks)[::-1], n, confidence)
    flagged = int((ranks > rank).sum()) + 1
    # Rounding to float32 must not carry a p-value across alpha: it is the decision.
    rate = np.float32(alpha)
    pvalues[:flagged] = np.minimum(pvalues[:flagged], rate)
    pvalues[flagged:] = np.maximum(pvalues[flagged:], np.nextafter(rate, np.float32(1)))
    pvalues.flags.writeable = False
    return pvalues


def _nudge(ordered: NDArray[np.float64], rank: int) -> float:
    """How far all scores are raised, given them ascending and the threshold's rank."""
    cut = ordered[rank - 1]
    larger = ordered[ordered > cut]
    half_gap = (larger[0] - cut) / 2 if len(larger) else math.inf
    spread = _NUDGE_OF_SPREAD * (cut - np.median(ordered))
    least = _NUDGE_MIN_ULP * float(np.spacing(np.float32(abs(cut))))
    return float(max(min(half_gap, spread), least))
