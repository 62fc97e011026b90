"""One score of several heads: how surprising they are together.

A head's surprise is the negative logarithm of its p-value. Beyond all calibration scores, where
p-values tie at 1 / (n + 1), it goes on to grow as for exponential tails:

    surprise(s) = -log((1 + j) / (n + 1)) + max(0, s - s_(n)) / scale

with j of the n calibration scores >= s, s_(n) the largest, and scale = (s_(n) - median) / log((n +
1) / 2), which is that of an exponential tail with this median and this maximum. All n scores are
raised by 1e-4 (s_(n) - median) first, so that rounding on another device moves none of them past
itself. The combined score is the sum of the surprises, Fisher's statistic: heads that agree a
little outweigh one that is alone. Files of earlier versions have the largest surprise, which is the
smallest p-value, and keep it.

Heads depend on one another, so no table of chi-squared tells how surprising a sum is. It need not:
whatever n images the maps come from, the threshold of the combined score comes from others, which
holds the rate whatever the dependence. From the same images it would not: of 5 independent heads
and 19 images for both, the largest surprise accepted .78 of new images instead of .95.

Source: Fisher 1932, Statistical Methods for Research Workers, section 21.1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.threshold import kept_ranks
from edge_ood.errors import InputError

__all__ = ["COMBINED", "FEWEST_COMBINED", "RULES", "Combination", "fit_combination"]

COMBINED = "combined"
"""Name of the combined score, its output and its columns."""

FEWEST_COMBINED = 2
"""Scores that it takes."""

RULES = ("sum", "largest")
"""How surprises become one."""

_MOST_KNOTS = 256
_LEAST_SPREAD = 1e-6
"""Of the scores' size; a head that is constant has no scale of its own."""

_LEAST_SPREAD_OF_ZERO = 1e-30
_NUDGE_OF_SPREAD = 1e-4
_NUDGE_OF_SIZE = 1e-6
"""At least, eight units of float32 in the last place."""


@dataclass(frozen=True)
class Combination:
    """Maps from scores to surprise.

    Attributes:
        heads: S names.
        knots: float32 (S, M), ascending calibration scores; M <= 256.
        surprise: float32 (M + 1,), by the number of knots that are reached; descending.
        slopes: float32 (S,), one over the scale of each head.
        rule: One of `RULES`.
    """

    heads: tuple[str, ...]
    knots: NDArray[np.float32]
    surprise: NDArray[np.float32]
    slopes: NDArray[np.float32]
    rule: str = RULES[0]

    def check(self) -> None:
        """Refuse arrays from a file that `fit_combination` cannot have made.

        Raises:
            InputError: If shapes disagree, or values are not finite, ascending or in range.
        """
        count, most = len(self.heads), self.knots.shape[-1]
        sound = (
            1 <= most <= _MOST_KNOTS
            and self.knots.shape == (count, most)
            and self.surprise.shape == (most + 1,)
            and self.slopes.shape == (count,)
            and all(bool(np.isfinite(a).all()) for a in (self.knots, self.surprise, self.slopes))
            and bool((np.diff(self.knots) >= 0).all() and (np.diff(self.surprise) <= 0).all())
            and bool((self.slopes >= 0).all())
        )
        if not sound:
            raise InputError("the maps of the combined score are damaged")

    def score(self, scores: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Combined scores (N,) of the heads' scores (N,); larger is more out-of-distribution.

        NaN where one of them is not finite.
        """
        table = np.stack([np.asarray(scores[head], np.float32) for head in self.heads])
        reached = (table[..., None] <= self.knots[:, None]).sum(axis=2)
        with np.errstate(invalid="ignore"):  # NaN is what an infinite score gives
            beyond = np.maximum(table - self.knots[:, -1:], np.float32(0)) * self.slopes[:, None]
            # Neither maximum passes NaN on everywhere, so it is added: 0 of finite scores.
            surprises = self.surprise[reached] + beyond + table * np.float32(0)
        # One after the other, as the graph adds them: in another order the last bit may differ.
        combined: NDArray[np.float32] = reduce(
            np.add if self.rule == "sum" else np.maximum, surprises
        )
        return combined


def fit_combination(scores: Mapping[str, NDArray[np.float32]], rule: str = RULES[0]) -> Combination:
    """The maps of heads, from finite scores (n,) of the same images."""
    ordered = np.sort(np.stack(list(scores.values())).astype(np.float64), axis=1)
    n = ordered.shape[1]
    ranks = kept_ranks(n, n, _MOST_KNOTS)
    reached = n - np.append(0, ranks)[::-1]
    size = np.abs(ordered).max(axis=1)
    spread = ordered[:, -1] - np.median(ordered, axis=1)
    nudge = np.maximum(_NUDGE_OF_SPREAD * spread, _NUDGE_OF_SIZE * size)
    least = _LEAST_SPREAD * size + _LEAST_SPREAD_OF_ZERO
    return Combination(
        heads=tuple(scores),
        knots=(ordered + nudge[:, None])[:, ranks - 1].astype(np.float32),
        surprise=(math.log(n + 1) - np.log1p(reached)).astype(np.float32),
        slopes=(math.log((n + 1) / 2) / np.maximum(spread, least)).astype(np.float32),
        rule=rule,
    )
