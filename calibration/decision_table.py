"""Thresholds and p-values of heads that come from the same calibration images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import MAX_KNOTS, Knots, kept_ranks, threshold_rank
from edge_ood.errors import InputError

__all__ = ["DecisionTable", "knot_limit"]

_MOST_KNOTS_OF_A_HEAD = 1 << 16
"""Over all groups, 256 kB; with more than 1,024 of them `_FEWEST_KNOTS` each."""

_FEWEST_KNOTS = 64
_ARRAYS = ("thresholds", "knots", "pvalues", "groups")


@dataclass(frozen=True)
class DecisionTable:
    """Thresholds and p-values of S heads, by groups of predicted classes.

    A score s of an image whose class is in group g is flagged when `not (s <= thresholds[g])`;
    its p-value is `pvalues[g, j]` with j the number of the group's knots that are >= s.

    Attributes:
        heads: S names, in the order of their outputs.
        thresholds: float32 (S, G).
        knots: float32 (S, G, M), ascending.
        pvalues: float32 (G, M + 1), ascending, in (0, 1].
        groups: int64 (K,), the group of each class; every group has a class.
    """

    heads: tuple[str, ...]
    thresholds: NDArray[np.float32]
    knots: NDArray[np.float32]
    pvalues: NDArray[np.float32]
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, knots: Mapping[str, Sequence[Knots]], groups: ArrayLike) -> "DecisionTable":
        """The table of knots per head and group.

        Args:
            knots: By head, one per group; heads share the p-values of each group.
            groups: The group of each class (K,).
        """
        first = next(iter(knots.values()))
        most = max(len(k.values) for k in first)
        return cls(
            heads=tuple(knots),
            thresholds=np.array([[k.threshold for k in row] for row in knots.values()], np.float32),
            # A repeated lowest knot is reached with the others or not at all.
            knots=np.stack([[_padded(k.values, most) for k in row] for row in knots.values()]),
            pvalues=np.stack([_padded(k.pvalues[::-1], most + 1)[::-1] for k in first]),
            groups=np.asarray(groups, np.int64),
        )

    @classmethod
    def none(cls, heads: Sequence[str], num_classes: int) -> "DecisionTable":
        """The table of heads that were never calibrated: nothing is flagged."""
        endless = Knots(np.full(1, np.inf, np.float32), np.ones(2, np.float32), float("inf"))
        return cls.of({head: [endless] for head in heads}, np.zeros(num_classes))

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.pvalues)

    def limits(self, head: str, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Thresholds (N,) of images with these predicted classes (N,)."""
        limits: NDArray[np.float32] = self.thresholds[self._row(head)][self.groups[labels]]
        return limits

    def pvalue(
        self, head: str, scores: ArrayLike, labels: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """P-values of scores (N,) and predicted classes (N,); NaN gets the smallest."""
        group = self.groups[labels]
        knots = self.knots[self._row(head)][group]
        reached = (np.asarray(scores, np.float32)[:, None] <= knots).sum(axis=1)
        pvalues: NDArray[np.float32] = self.pvalues[group, reached]
        return pvalues

    def of_heads(self, heads: Sequence[str]) -> "DecisionTable":
        """The rows of some heads, in the order given."""
        rows = [self._row(head) for head in heads]
        return replace(
            self, heads=tuple(heads), thresholds=self.thresholds[rows], knots=self.knots[rows]
        )

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "DecisionTable":
        """The same with other thresholds for some heads, whatever the class; p-values stay."""
        changed = self.thresholds.copy()
        for head, value in thresholds.items():
            changed[self._row(head)] = value
        return replace(self, thresholds=changed)

    def kept_scores(
        self, head: str, label: int, n: int, guarantee: Guarantee
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
        """As `Decision.kept_scores`."""
        rank = threshold_rank(n, guarantee.alpha, guarantee.confidence)
        ranks = kept_ranks(n, rank, knot_limit(self.num_groups))
        knots = self.knots[self._row(head), self.groups[label]]
        if len(ranks) > len(knots):
            return None
        return knots[len(knots) - len(ranks) :], ranks / n

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(
        cls, heads: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]
    ) -> "DecisionTable":
        """What `to_arrays` took apart; raises `KeyError` where an array is missing."""
        thresholds, knots, pvalues, groups = (arrays[name] for name in _ARRAYS)
        return cls(heads, thresholds, knots, pvalues, groups.astype(np.int64))

    def check(self) -> None:
        """Refuse arrays from a file that no calibration can have made.

        Raises:
            InputError: If shapes disagree, or values are not finite, ascending or in range.
        """
        groups, knots = self.num_groups, self.knots.shape[-1]
        sound = (
            1 <= knots <= MAX_KNOTS
            and self.knots.shape == (len(self.heads), groups, knots)
            and self.thresholds.shape == (len(self.heads), groups)
            and self.pvalues.shape == (groups, knots + 1)
            and self.groups.ndim == 1
            and np.array_equal(np.unique(self.groups), np.arange(groups))
            and bool(np.isfinite(self.thresholds).all() and np.isfinite(self.knots).all())
            and bool((np.diff(self.knots) >= 0).all() and (np.diff(self.pvalues) >= 0).all())
            and bool((self.pvalues > 0).all() and (self.pvalues <= 1).all())
        )
        if not sound:
            raise InputError(f"the knots or thresholds of {', '.join(self.heads)} are damaged")

    def _row(self, head: str) -> int:
        return self.heads.index(head)


def knot_limit(groups: int) -> int:
    """Most knots of a head in each of so many groups."""
    return min(MAX_KNOTS, max(_FEWEST_KNOTS, _MOST_KNOTS_OF_A_HEAD // groups))


def _padded(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The first value repeated in front."""
    return np.pad(values, (length - len(values), 0), "edge")
