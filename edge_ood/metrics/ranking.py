"""Ranking metrics as formulas over counts, for one sample of images or many resamples at once.

A score ranks images of two classes; the *positive* class is the one that larger scores should mark.
What a ranking metric needs to know is how many positives and negatives lie at or above each
distinct score, equal scores together. An image may count any number of times, as in a resample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking", "RankingCounts", "auroc", "average_precision", "detection_error", "fpr95"]

_RECALL_PERCENT = 95


@dataclass(frozen=True)
class RankingCounts:
    """Images at or above each of T distinct scores, from none of them to all.

    Attributes:
        hits: Positives, int (..., T + 1), not falling along the last axis; leading axes are
            resamples.
        alarms: Negatives, of the same shape.
    """

    hits: NDArray[np.int32]
    alarms: NDArray[np.int32]

    @property
    def n_positive(self) -> NDArray[np.int32]:
        """All positives (...,)."""
        return np.asarray(self.hits[..., -1])

    @property
    def n_negative(self) -> NDArray[np.int32]:
        """All negatives (...,)."""
        return np.asarray(self.alarms[..., -1])

    def negated(self) -> "RankingCounts":
        """The counts of the negated scores, with the negatives as the positive class."""
        hits = self.alarms[..., -1:] - self.alarms
        alarms = self.hits[..., -1:] - self.hits
        return RankingCounts(hits[..., ::-1], alarms[..., ::-1])


class Ranking:
    """Images of two classes in the order of one score; sorted once, counted as often as needed.

    Args:
        scores: Float64 (N,) without NaN, larger = more likely positive.
        is_positive: Bool (N,).
    """

    def __init__(self, scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores)
        ordered = scores[self._order]
        self._is_positive = is_positive[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def counts(self, times: NDArray[np.integer]) -> RankingCounts:
        """Counts at each distinct score where image `i` stands `times[..., i]` times, (..., N)."""
        ordered = np.take(times, self._order, axis=-1)
        hits = self._cumulated(ordered * self._is_positive)
        return RankingCounts(hits, self._cumulated(ordered) - hits)

    def _cumulated(self, times: NDArray[np.integer]) -> NDArray[np.int32]:
        above = np.cumsum(times, axis=-1, dtype=np.int32)
        counts = np.zeros((*times.shape[:-1], len(self._ends) + 1), np.int32)
        counts[..., 1:] = np.take(above, self._ends, axis=-1)
        return counts


def auroc(counts: RankingCounts) -> NDArray[np.float64]:
    """Area under the ROC curve (...,): how often a positive outscores a negative, ties half."""
    hits, alarms = counts.hits, np.diff(counts.alarms)
    twice_area = _dot(alarms, hits[..., 1:] + hits[..., :-1])
    return np.asarray(twice_area / (2.0 * counts.n_positive * counts.n_negative))


def average_precision(counts: RankingCounts) -> NDArray[np.float64]:
    """Precision times gain in recall (...,), summed over distinct scores."""
    hits, alarms = counts.hits[..., 1:], counts.alarms[..., 1:]
    # Where nothing is above a score in a resample there is no gain, whatever the precision.
    precision = hits / np.maximum(hits + alarms, 1)
    return np.asarray(_dot(np.diff(counts.hits), precision) / counts.n_positive)


def fpr95(counts: RankingCounts) -> NDArray[np.float64]:
    """False-positive rate (...,) at the strictest threshold with a recall of at least 95 %."""
    # In whole images, where 95 % of 20 is 19 and not the float next to it.
    needed = -(-_RECALL_PERCENT * counts.hits[..., -1:].astype(np.int64) // 100)
    strictest = (counts.hits >= needed).argmax(axis=-1, keepdims=True)
    alarms = np.take_along_axis(counts.alarms, strictest, axis=-1)[..., 0]
    return np.asarray(alarms / counts.n_negative)


def detection_error(counts: RankingCounts) -> NDArray[np.float64]:
    """Smallest mean of miss rate and false-positive rate (...,) over all thresholds."""
    n_positive = counts.hits[..., -1:].astype(np.float64)
    n_negative = counts.alarms[..., -1:]
    missed = (n_positive - counts.hits) * n_negative
    errors = (missed + counts.alarms * n_positive).min(axis=-1)
    return np.asarray(errors / (2 * n_positive * n_negative)[..., 0])


def _dot(
    one: NDArray[np.integer | np.float64], other: NDArray[np.integer | np.float64]
) -> NDArray[np.float64]:
    """Sums of products along the last axis, exact for counts, whose sums stay below 2^53."""
    return np.asarray(np.einsum("...t,...t->...", one.astype(np.float64), other))
