"""What a score or a p-value does over its whole range, as points to draw."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.evaluation.values import Histogram, PValueCurve, ThresholdCurve

__all__ = ["histogram", "pvalue_curve", "threshold_curve"]

_MOST_THRESHOLDS = 201
_HISTOGRAM_BINS = 60
_OUTSIDE = 0.001  # of either set, at each end of a histogram
_LEVELS = 200


def threshold_curve(id_scores: ArrayLike, ood_scores: ArrayLike) -> ThresholdCurve:
    """Acceptance of both sets as the threshold moves, at all distinct scores or at 201 of them.

    Args:
        id_scores: Scores of ID images, finite, shape (n_id,), n_id at least 1.
        ood_scores: Scores of OOD images, finite, shape (n_ood,), n_ood at least 1.
    """
    inside, outside = np.sort(_vector(id_scores)), np.sort(_vector(ood_scores))
    thresholds = np.unique(np.concatenate([inside, outside]))
    if len(thresholds) > _MOST_THRESHOLDS:
        # Half of them by the ranks of each set, so that a small set is not passed in one step.
        n_id = _MOST_THRESHOLDS // 2
        chosen = [_spread(inside, n_id), _spread(outside, _MOST_THRESHOLDS - n_id)]
        thresholds = np.unique(np.concatenate(chosen))
    return ThresholdCurve(
        thresholds=tuple(thresholds.tolist()),
        tpr=_at_most(inside, thresholds),
        fpr=_at_most(outside, thresholds),
    )


def histogram(id_scores: ArrayLike, ood_scores: ArrayLike) -> Histogram:
    """Fractions of both sets in 60 bins of equal width over a range that outliers do not stretch.

    Args and sizes are those of `threshold_curve`.
    """
    inside, outside = _vector(id_scores), _vector(ood_scores)
    ends = [np.quantile(s, (_OUTSIDE, 1 - _OUTSIDE)) for s in (inside, outside)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if low == high:
        low, high = low - max(1.0, abs(low)) / 2, high + max(1.0, abs(high)) / 2
    edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    id_counts, ood_counts = (
        np.histogram(s.clip(edges[0], edges[-1]), edges)[0] for s in (inside, outside)
    )
    return Histogram(
        edges=tuple(edges.tolist()),
        id_density=tuple((id_counts / len(inside)).tolist()),
        ood_density=tuple((ood_counts / len(outside)).tolist()),
    )


def pvalue_curve(pvalues: NDArray[np.float32]) -> PValueCurve:
    """The fraction of images that `pvalue <= level` flags, compared in float32 as artefacts do.

    Args:
        pvalues: Of ID images, shape (N,), in (0, 1], N at least 1.
    """
    levels = np.arange(_LEVELS + 1) / _LEVELS
    flagged = _at_most(np.sort(pvalues), levels.astype(np.float32))
    return PValueCurve(tuple(levels.tolist()), flagged)


def _vector(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _spread(ordered: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Values at ranks as evenly spread as whole ranks can be, the first and the last included."""
    return ordered[np.linspace(0, len(ordered) - 1, count).round().astype(np.int64)]


def _at_most(ordered: NDArray[np.floating], limits: NDArray[np.floating]) -> tuple[float, ...]:
    """The fraction of values that are at most each limit."""
    counts = np.searchsorted(ordered, limits, side="right")
    return tuple((counts / len(ordered)).tolist())
