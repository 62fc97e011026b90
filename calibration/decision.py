"""The decision about all scores: what a graph computes from scores and predicted classes.

The heads share one table. The combined score, where there is one, is decided by a table of its own,
as its threshold comes from other images than what it is combined by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.calibration.combination import COMBINED, Combination, fit_combination
from edge_ood.calibration.decision_table import DecisionTable, knot_limit
from edge_ood.calibration.guarantee import NOTHING_COMBINED, Guarantee
from edge_ood.calibration.threshold import Knots, fit_knots
from edge_ood.errors import CalibrationError, InputError, UnknownNameError

__all__ = ["CombinedDecision", "Decision", "fit_combined", "fit_decision"]

_MAP_ARRAYS = ("knots", "surprise", "slopes")
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class CombinedDecision:
    """One score made of all heads, and the decision about it.

    Attributes:
        combination: What makes it.
        table: Its thresholds and p-values; its only head is `combined`.
    """

    combination: Combination
    table: DecisionTable


@dataclass(frozen=True)
class Decision:
    """Thresholds and p-values of all scores of an artefact.

    Attributes:
        table: Of the heads.
        combined: The combined score; None if there is none.
    """

    table: DecisionTable
    combined: CombinedDecision | None = None

    @classmethod
    def none(
        cls, heads: Sequence[str], num_classes: int, guarantee: Guarantee = NOTHING_COMBINED
    ) -> "Decision":
        """The decision of a file that was never calibrated: nothing is flagged."""
        table = DecisionTable.none(heads, num_classes)
        if not guarantee.combined:
            return cls(table)
        members = guarantee.members(heads)
        highest, ones = np.full((len(members), 1), np.inf, np.float32), np.ones(2, np.float32)
        slopes = np.zeros(len(members), np.float32)
        combination = Combination(members, highest, ones, slopes, guarantee.combined_rule)
        own = DecisionTable.none([COMBINED], num_classes)
        return cls(table, CombinedDecision(combination, own))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all scores that are decided about: the heads, then `combined`."""
        return (*self.table.heads, COMBINED) if self.combined else self.table.heads

    def table_of(self, score: str) -> DecisionTable:
        """Where a score's thresholds are."""
        return self.combined.table if self.combined and score == COMBINED else self.table

    def limits(self, score: str, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Thresholds (N,) of images with these predicted classes (N,)."""
        return self.table_of(score).limits(score, labels)

    def is_ood(self, score: str, values: ArrayLike, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Decisions of scores (N,) and predicted classes (N,)."""
        return ~(np.asarray(values, np.float32) <= self.limits(score, labels))

    def pvalue(
        self, score: str, values: ArrayLike, labels: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """P-values of scores (N,) and predicted classes (N,); NaN gets the smallest."""
        return self.table_of(score).pvalue(score, values, labels)

    def of_heads(self, outputs: Sequence[str]) -> "Decision":
        """The same for some scores, in the order given; what `combined` needs is kept with it."""
        table = self.table.of_heads([score for score in outputs if score != COMBINED])
        return Decision(table, self.combined if COMBINED in outputs else None)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Decision":
        """The same with other thresholds for some scores, whatever the class; p-values stay.

        Raises:
            UnknownNameError: If there is no such score.
            InputError: If a threshold is no finite float32 number.
        """
        for score, value in thresholds.items():
            if score not in self.outputs:
                raise UnknownNameError("score of this artefact", score, self.outputs)
            if not abs(value) <= _LARGEST_FLOAT32:
                raise InputError(f"threshold {value} for {score!r}, expected a float32 number")
        of_heads = {score: value for score, value in thresholds.items() if score != COMBINED}
        changed = replace(self, table=self.table.with_thresholds(of_heads))
        if self.combined is None or COMBINED not in thresholds:
            return changed
        table = self.combined.table.with_thresholds({COMBINED: thresholds[COMBINED]})
        return replace(changed, combined=replace(self.combined, table=table))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, those of `combined` too."""
        arrays = self.table.to_arrays()
        if self.combined:
            made = self.combined.combination
            arrays |= {f"map/{name}": getattr(made, name) for name in _MAP_ARRAYS}
            arrays |= {f"{COMBINED}/{k}": v for k, v in self.combined.table.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(
        cls, heads: tuple[str, ...], arrays: Mapping[str, NDArray[Any]], guarantee: Guarantee
    ) -> "Decision":
        """What `to_arrays` took apart.

        Args:
            heads: All heads, in the order of the arrays' rows.
            arrays: By name.
            guarantee: Knows what `combined` is made of, and how.

        Raises:
            InputError: If an array is missing.
        """
        try:
            table = DecisionTable.from_arrays(heads, arrays)
            if f"map/{_MAP_ARRAYS[0]}" not in arrays:
                return cls(table)
            knots, surprise, slopes = (arrays[f"map/{name}"] for name in _MAP_ARRAYS)
            prefix = f"{COMBINED}/"
            rest = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            own = DecisionTable.from_arrays((COMBINED,), rest)
        except KeyError as error:
            raise InputError(f"there is no array {error}") from error
        members = guarantee.members(heads)
        combination = Combination(members, knots, surprise, slopes, guarantee.combined_rule)
        return cls(table, CombinedDecision(combination, own))

    def kept_scores(
        self, score: str, label: int, n: int, guarantee: Guarantee
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
        """What is left of the calibration scores behind a threshold: some of them, and their place.

        Args:
            score: Its name.
            label: A predicted class, which has the threshold.
            n: Calibration images that it comes from.
            guarantee: What they were calibrated for.

        Returns:
            Ascending scores (M,) and the share (M,) of the n images that score at most so high;
            None where the knots are not those of n images.
        """
        return self.table_of(score).kept_scores(score, label, n, guarantee)

    def check(self) -> None:
        """Refuse arrays from a file that `fit_decision` cannot have made.

        Raises:
            InputError: If shapes disagree, or values are not finite, ascending or in range.
        """
        self.table.check()
        if self.combined:
            self.combined.combination.check()
            self.combined.table.check()


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
    limit = knot_limit(len(members))
    knots = {
        head: [_fit(head, values[chosen], guarantee, limit) for chosen in members]
        for head, values in scores.items()
    }
    return Decision(DecisionTable.of(knots, groups))


def fit_combined(
    decision: Decision,
    scores: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    first_half: NDArray[np.bool_],
    guarantee: Guarantee,
) -> Decision:
    """A decision of all heads with one of the combined score beside it.

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
    members = guarantee.members(tuple(scores))
    combination = fit_combination(
        {head: scores[head][first_half] for head in members}, guarantee.combined_rule
    )
    others = {head: scores[head][~first_half] for head in members}
    combined = {COMBINED: combination.score(others)}
    try:
        fitted = fit_decision(combined, labels[~first_half], len(decision.table.groups), guarantee)
    except CalibrationError as error:
        raise CalibrationError(
            f"{COMBINED!r}, which one half of the images calibrates: {error}", hint=error.hint
        ) from error
    return replace(decision, combined=CombinedDecision(combination, fitted.table))


def _fit(head: str, scores: NDArray[np.float32], guarantee: Guarantee, limit: int) -> Knots:
    try:
        return fit_knots(scores, guarantee.alpha, guarantee.confidence, limit=limit)
    except CalibrationError as error:
        raise CalibrationError(f"head {head!r}: {error}", hint=error.hint) from error
