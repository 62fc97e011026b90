"""The decision of all heads at once: what a graph computes from scores and predicted classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.combination import COMBINED, Combination, fit_combination
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import (
    MAX_KNOTS,
    Knots,
    fit_knots,
    kept_ranks,
    threshold_rank,
)
from edge_ood.errors import CalibrationError, InputError, UnknownNameError

__all__ = ["Decision", "fit_combined", "fit_decision"]

_MOST_KNOTS_OF_A_HEAD = 1 << 16
"""Over all groups, 256 kB; with more than 1,024 of them `_FEWEST_KNOTS` each."""

_FEWEST_KNOTS = 64
_ARRAYS = ("thresholds", "knots", "pvalues", "groups")
_MAP_ARRAYS = ("knots", "surprise", "slopes")
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


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
        combination: What makes one score, `combined`, of all of them; None if there is none.
        combined: Its thresholds and p-values, a decision of that score alone.
    """

    heads: tuple[str, ...]
    thresholds: NDArray[np.float32]
    knots: NDArray[np.float32]
    pvalues: NDArray[np.float32]
    groups: NDArray[np.int64]
    combination: Combination | None = None
    combined: "Decision | None" = None

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
    def none(cls, heads: Sequence[str], num_classes: int, *, combined: bool = False) -> "Decision":
        """The decision of a file that was never calibrated: nothing is flagged."""
        highest, ones = np.full((len(heads), 1), np.inf, np.float32), np.ones(2, np.float32)
        endless = Knots(highest[0], ones, threshold=float("inf"))
        decision = cls.of({head: [endless] for head in heads}, np.zeros(num_classes))
        if not combined:
            return decision
        combination = Combination(tuple(heads), highest, ones, np.zeros(len(heads), np.float32))
        return replace(
            decision, combination=combination, combined=cls.none([COMBINED], num_classes)
        )

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.pvalues)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all scores that are decided about: the heads, then `combined`."""
        return (*self.heads, COMBINED) if self.combined else self.heads

    def limits(self, head: str, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Thresholds (N,) of images with these predicted classes (N,)."""
        table = self._table(head)
        limits: NDArray[np.float32] = table.thresholds[table._row(head)][table.groups[labels]]
        return limits

    def is_ood(self, head: str, scores: ArrayLike, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Decisions of scores (N,) and predicted classes (N,)."""
        return ~(np.asarray(scores, np.float32) <= self.limits(head, labels))

    def pvalue(
        self, head: str, scores: ArrayLike, labels: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """P-values of scores (N,) and predicted classes (N,); NaN gets the smallest."""
        table = self._table(head)
        group = table.groups[labels]
        knots = table.knots[table._row(head)][group]
        reached = (np.asarray(scores, np.float32)[:, None] <= knots).sum(axis=1)
        pvalues: NDArray[np.float32] = table.pvalues[group, reached]
        return pvalues

    def of_heads(self, outputs: Sequence[str]) -> "Decision":
        """The same for some scores, in the order given; what `combined` needs is kept with it."""
        heads = tuple(head for head in outputs if head != COMBINED)
        rows = [self._row(head) for head in heads]
        kept = replace(self, heads=heads, thresholds=self.thresholds[rows], knots=self.knots[rows])
        return kept if COMBINED in outputs else replace(kept, combination=None, combined=None)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Decision":
        """The same with other thresholds for some scores, whatever the class; p-values stay.

        Raises:
            UnknownNameError: If there is no such score.
            InputError: If a threshold is no finite float32 number.
        """
        changed, combined = self.thresholds.copy(), self.combined
        for head, value in thresholds.items():
            if head not in self.outputs:
                raise UnknownNameError("score of this artefact", head, self.outputs)
            if not abs(value) <= _LARGEST_FLOAT32:
                raise InputError(f"threshold {value} for {head!r}, expected a float32 number")
            if combined and head == COMBINED:
                limits = np.full_like(combined.thresholds, value)
                combined = replace(combined, thresholds=limits)
            else:
                changed[self._row(head)] = value
        return replace(self, thresholds=changed, combined=combined)

    def to_arrays(self) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
        """All arrays by name, those of `combined` too."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.combination and self.combined:
            arrays |= {f"map/{name}": getattr(self.combination, name) for name in _MAP_ARRAYS}
            arrays |= {f"{COMBINED}/{k}": v for k, v in self.combined.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, heads: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> "Decision":
        """What `to_arrays` took apart.

        Raises:
            InputError: If an array is missing.
        """
        try:
            thresholds, knots, pvalues, groups = (arrays[name] for name in _ARRAYS)
            decision = cls(heads, thresholds, knots, pvalues, groups.astype(np.int64))
            if f"map/{_MAP_ARRAYS[0]}" not in arrays:
                return decision
            maps = [arrays[f"map/{name}"] for name in _MAP_ARRAYS]
        except KeyError as error:
            raise InputError(f"there is no array {error}") from error
        prefix = f"{COMBINED}/"
        rest = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        return replace(
            decision,
            combination=Combination(heads, *maps),
            combined=cls.from_arrays((COMBINED,), rest),
        )

    def known_scores(
        self, head: str, label: int, n: int, guarantee: Guarantee
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
        """What is left of the calibration scores behind a threshold: some of them, and their place.

        Args:
            head: A score.
            label: A predicted class, which has the threshold.
            n: Calibration images that it comes from.
            guarantee: What they were calibrated for.

        Returns:
            Ascending scores (M,) and the share (M,) of the n images that score at most so high;
            None where the knots are not those of n images.
        """
        table = self._table(head)
        rank = threshold_rank(n, guarantee.alpha, guarantee.confidence)
        ranks = kept_ranks(n, rank, _knot_limit(table.num_groups))
        knots = table.knots[table._row(head), table.groups[label]]
        if len(ranks) > len(knots):
            return None
        return knots[len(knots) - len(ranks) :], ranks / n

    def _table(self, head: str) -> "Decision":
        """Where a score's thresholds are."""
        return self.combined if self.combined and head == COMBINED else self

    def _row(self, head: str) -> int:
        return self.heads.index(head)

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
        if self.combination and self.combined:
            self.combination.check()
            self.combined.check()


def fit_decision(
    scores: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    num_classes: int,
    guarantee: Guarantee,
) -> Decision:
    """Thresholds and p-values of heads, from scores of the same n images.

    Args:
        scores: By head (n,), larger = more out-of-distribution.
        labels: Predicted classes (n,).
        num_classes: K.
        guarantee: What is to be held. Per class, one with at least `guarantee.minimum_images`
            images has thresholds and p-values from its own images alone, the others from all.

    Raises:
        CalibrationError: If n is too small, or a score is not finite; it names the head.

    Source of the thresholds per class: Mondrian conformal predictors, Vovk et al. 2005, with the
    predicted class as the category.
    """
    own = guarantee.own_classes(np.bincount(labels, minlength=num_classes).tolist())
    groups = np.zeros(num_classes, np.int64)
    shared = len(own) < num_classes
    groups[own] = np.arange(len(own)) + shared
    members = [np.ones(len(labels), np.bool_)] * shared + [labels == label for label in own]
    limit = _knot_limit(len(members))
    knots = {
        head: [_fit(head, values[chosen], guarantee, limit) for chosen in members]
        for head, values in scores.items()
    }
    return Decision.of(knots, groups)


def fit_combined(
    decision: Decision,
    scores: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    first_half: NDArray[np.bool_],
    guarantee: Guarantee,
) -> Decision:
    """A decision of all heads with one of their combined score beside it.

    Args:
        decision: Of the heads, from all images.
        scores: By head (n,), finite.
        labels: Predicted classes (n,).
        first_half: Mask (n,) of the images that fix what a score's surprise is; the others set the
            thresholds of the combined score.
        guarantee: What is to be held.

    Raises:
        CalibrationError: If the second half is too small.
    """
    combination = fit_combination({head: values[first_half] for head, values in scores.items()})
    others = {head: values[~first_half] for head, values in scores.items()}
    combined = {COMBINED: combination.score(others)}
    try:
        fitted = fit_decision(combined, labels[~first_half], len(decision.groups), guarantee)
    except CalibrationError as error:
        raise CalibrationError(
            f"{COMBINED!r}, which one half of the images calibrates: {error}", hint=error.hint
        ) from error
    return replace(decision, combination=combination, combined=fitted)


def _knot_limit(groups: int) -> int:
    """Most knots of a head in each of so many groups."""
    return min(MAX_KNOTS, max(_FEWEST_KNOTS, _MOST_KNOTS_OF_A_HEAD // groups))


def _fit(head: str, scores: NDArray[np.float32], guarantee: Guarantee, limit: int) -> Knots:
    try:
        return fit_knots(scores, guarantee.alpha, guarantee.confidence, limit=limit)
    except CalibrationError as error:
        raise CalibrationError(f"head {head!r}: {error}", hint=error.hint) from error


def _padded(values: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The first value repeated in front."""
    return np.pad(values, (length - len(values), 0), "edge")
