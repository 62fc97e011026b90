"""The decision of all heads at once: what a graph computes from scores and predicted classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import MAX_KNOTS, Knots, fit_knots
from edge_ood.errors import CalibrationError, InputError

__all__ = ["Decision", "fit_decision"]


@dataclass(frozen=True)
class Decision:
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
    def of(cls, knots: Mapping[str, Sequence[Knots]], groups: ArrayLike) -> "Decision":
        """The decision of knots per head and group.

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
    def none(cls, heads: Sequence[str], num_classes: int) -> "Decision":
        """The decision of a file that was never calibrated: nothing is flagged."""
        endless = Knots(
            np.array([np.inf], np.float32), np.ones(2, np.float32), threshold=float("inf")
        )
        return cls.of({head: [endless] for head in heads}, np.zeros(num_classes))

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.pvalues)

    def row(self, head: str) -> int:
        """Position of a head in the arrays."""
        return self.heads.index(head)

    def limits(self, head: str, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Thresholds (N,) of images with these predicted classes (N,)."""
        limits: NDArray[np.float32] = self.thresholds[self.row(head)][self.groups[labels]]
        return limits

    def is_ood(self, head: str, scores: ArrayLike, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Decisions of scores (N,) and predicted classes (N,)."""
        return ~(np.asarray(scores, np.float32) <= self.limits(head, labels))

    def pvalue(
        self, head: str, scores: ArrayLike, labels: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """P-values of scores (N,) and predicted classes (N,); NaN gets the smallest."""
        group = self.groups[labels]
        knots = self.knots[self.row(head)][group]
        reached = (np.asarray(scores, np.float32)[:, None] <= knots).sum(axis=1)
        pvalues: NDArray[np.float32] = self.pvalues[group, reached]
        return pvalues

    def of_heads(self, heads: Sequence[str]) -> "Decision":
        """The same for some heads, in the order given."""
        rows = [self.row(head) for head in heads]
        return replace(
            self, heads=tuple(heads), thresholds=self.thresholds[rows], knots=self.knots[rows]
        )

    def check(self) -> None:
        """Refuse arrays from a file that `fit_decision` cannot have made.

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


def fit_decision(
    scores: Mapping[str, NDArray[np.float32]], num_classes: int, guarantee: Guarantee
) -> Decision:
    """Thresholds and p-values of heads, from scores of the same n images.

    Args:
        scores: By head (n,), larger = more out-of-distribution.
        num_classes: K.
        guarantee: What is to be held.

    Raises:
        CalibrationError: If n is too small, or a score is not finite; it names the head.
    """
    knots = {head: [_fit(head, values, guarantee)] for head, values in scores.items()}
    return Decision.of(knots, np.zeros(num_classes))


def _fit(head: str, scores: NDArray[np.float32], guarantee: Guarantee) -> Knots:
    try:
        return fit_knots(scores, guarantee.alpha, guarantee.confidence)
    except CalibrationError as error:
        raise CalibrationError(f"head {head!r}: {error}", hint=error.hint) from error


def _padded(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The first value repeated in front."""
    return np.pad(values, (length - len(values), 0), "edge")
