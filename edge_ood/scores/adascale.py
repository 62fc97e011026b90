"""Logits scaled by peaked features, less where a step shifts them (Regmi 2025)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.bank import ClassBank
from edge_ood.calibration.class_means import ClassMeans
from edge_ood.errors import CalibrationError
from edge_ood.registry import Fraction, NonNegative
from edge_ood.scores import FEATURES_PREFIX, LinearLayer, Outputs, ScoreHead, Statistics, Step
from edge_ood.scores._features import at_least, largest, penultimate
from edge_ood.scores._last_layer import check_shapeable, kept_count, rectified
from edge_ood.scores._softmax import logsumexp

_SAMPLED, _KNOTS = 1000, 64
_SHIFTED, _PEAKS = 0.01, 0.05
"""Shares of the features, the largest before the step: how far they shift, how large they end."""

_WEIGHT = 10.0
"""Of the first, beside the second."""


class Shifts:
    """Fits how far the features of training images shift."""

    def __init__(
        self,
        num_classes: int,
        *,
        linear: LinearLayer,
        lowest: float,
        highest: float,
        **parameters: Any,
    ) -> None:
        self._bias, self._limits = linear.bias, sorted([lowest, highest])
        self._features = ClassMeans(num_classes)
        self._sample = ClassBank(num_classes, _SAMPLED)

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""
        before = penultimate(outputs.still or outputs)
        self._features.update(before, labels)
        found = shift(np, outputs, *_counts(before.shape[1]))
        self._sample.update(found[:, None], labels)

    def merge(self, other: "Shifts") -> None:
        """Take everything that `other` saw into account."""
        self._features.merge(other._features)
        self._sample.merge(other._sample)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """The arrays that `adascale` reads."""
        width, (least, most) = self._features.width, self._limits
        if _SHIFTED * width < 1:
            raise CalibrationError(
                f"the largest {_SHIFTED:.0%} of {width} features are less than one, and the score "
                "is hardly above chance with so few: AUROC 56 near and 78 far with 64",
                hint="leave it out of --scores; 'scale' and 'gen' suit narrow networks better",
            )
        check_shapeable(self._features, kept_count(width, most))
        rows, _ = self._sample.rows()
        knots = np.quantile(rows[:, 0], np.linspace(0, 1, _KNOTS))
        return {
            "width": np.asarray(float(width)),
            "counts": np.array(_counts(width), np.float64),
            "ranks": np.arange(np.ceil((1 - least) * width)),
            "knots": knots[:-1],
            "gaps": np.maximum(np.diff(knots), 1e-9 + 1e-6 * knots[-1]),
            "bias": self._bias,
        }


def shift(xp: Any, outputs: Outputs, shifted: int, peaks: int) -> Any:
    """Q' (N,) >= 0: what a step does to the largest features, and how large it leaves some."""
    before, after = rectified(xp, penultimate(outputs.still or outputs)), penultimate(outputs)
    changed = _among_largest(xp, before, shifted, xp.abs(after - before))
    left = _among_largest(xp, before, peaks, rectified(xp, after))
    return _WEIGHT * xp.sum(changed, axis=1) + xp.sum(left, axis=1)


def adascale(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    epsilon: NonNegative = 0.5,
    share: Fraction = 0.05,
    lowest: Fraction = 0.6,
    highest: Fraction = 0.85,
) -> Any:
    """Free energy with features scaled as `scale` does, by a percentile of the image's own.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D), >= 0, before the step, and
            the features after it.
        statistics: `width` (), D; `counts` (2,), of the largest features that are looked at;
            `knots` and `gaps` (63,) of the distribution of Q' on training images; `ranks` (R,),
            from 0 to the largest number of features that counts; `bias` (K,).
        epsilon: Length of the step in units of normalised pixels; 0 takes the image as it is.
        share: Share in [0, 1] of the image's values that move: those that matter least.
        lowest: Percentile, as a share in [0, 1], of images whose Q' is the largest of all.
        highest: Percentile of those whose Q' is the smallest.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Regmi 2025, arXiv:2503.08023, AdaSCALE-A. Q' = 10 Q + C; its distribution is that of at
    most 1,000 training images. How many features count is not rounded: of the last one a share
    does, since scores would jump where rounding errors move an image past a half.
    """
    shifted, peaks = (int(count) for count in statistics["counts"])
    below = (_column(xp, shift(xp, outputs, shifted, peaks)) - statistics["knots"]) / statistics[
        "gaps"
    ]
    rank = xp.mean(_within_one(xp, below), axis=1)
    kept = statistics["width"] * (1 - highest + rank * (highest - lowest))
    still = outputs.still or outputs
    features = rectified(xp, penultimate(still))
    first = largest(xp, features, len(statistics["ranks"]))
    counted = first * _within_one(xp, _column(xp, kept) - statistics["ranks"])
    factor = xp.exp(xp.sum(features, axis=1) / at_least(xp, xp.sum(counted, axis=1), 1e-12))
    bias = statistics["bias"]
    return -logsumexp(xp, _column(xp, factor) * (still.logits - bias) + bias)


def confidence(
    xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any
) -> dict[str, Any]:
    """Minus the largest logit (N,), which the step descends."""
    layer = list(outputs.features)[-1]
    return {FEATURES_PREFIX + layer: -xp.max(outputs.logits, axis=1)}


def least_important(*, epsilon: float, share: float, **parameters: Any) -> Step:
    """A step of the values with the smallest derivatives, in units of normalised pixels."""
    return Step(epsilon, flattest=share, normalised=True)


def _counts(width: int) -> tuple[int, int]:
    return max(1, int(_SHIFTED * width)), max(1, int(_PEAKS * width))  # 0 are refused at the end


def _among_largest(xp: Any, rows: Any, count: int, values: Any) -> Any:
    """Values (N, D) where rows are among their `count` largest, and 0 elsewhere."""
    least = _column(xp, largest(xp, rows, count)[:, count - 1])
    return xp.where(rows < least, 0, values)


def _within_one(xp: Any, x: Any) -> Any:
    """Numbers moved into [0, 1]; NaN stays NaN."""
    return 1 - at_least(xp, 1 - at_least(xp, x, 0.0), 0.0)


def _column(xp: Any, values: Any) -> Any:
    return xp.expand_dims(values, axis=1)


HEAD = ScoreHead(
    "adascale",
    ("logits", "features"),
    adascale,
    source="Regmi 2025, AdaSCALE-A",
    fit=Shifts,
    perturbation=confidence,
    step=least_important,
    fits_moved=True,
    reads_linear=True,
)
