"""OOD sets against ID images, with the intervals of every rate; `intervals` says which kind."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.evaluation.values import GroupMetrics, Interval
from edge_ood.metrics.bootstrap import (
    logit_interval,
    mean_replicates,
    pair_replicates,
    percentile_interval,
)
from edge_ood.metrics.detection import PairMetrics
from edge_ood.metrics.exact_intervals import clopper_pearson, ranking_bounds
from edge_ood.metrics.resamples import Draws

__all__ = ["Bounds", "Compared", "compare", "intervals_of", "mean_intervals", "sampled", "wider"]

Bounds = tuple[float, float]

_FLAGGED = "flagged"
_MOST = {"detection_error": 0.5}
"""Rates that cannot be as large as 1, by name."""


@dataclass(frozen=True)
class Compared:
    """One OOD set against ID images.

    Attributes:
        metrics: By head.
        flagged: By head, the fraction of OOD images flagged; empty if that is not asked for.
        replicates: By head and rate, (B,).
    """

    metrics: Mapping[str, PairMetrics]
    flagged: Mapping[str, float]
    replicates: Mapping[str, Mapping[str, NDArray[np.float64]]]

    def rate(self, head: str, name: str) -> float:
        """What the interval of that name is about."""
        return self.flagged[head] if name == _FLAGGED else getattr(self.metrics[head], name)

    def sampled(self, head: str, name: str, level: float) -> Bounds:
        """The interval that the replicates alone give."""
        return sampled(name, self.rate(head, name), self.replicates[head][name], level)

    def bounds(self, head: str, name: str, level: float) -> Bounds:
        """The interval."""
        rate, pair = self.rate(head, name), self.metrics[head]
        if name == _FLAGGED:
            return clopper_pearson(round(rate * pair.n_ood), pair.n_ood, level)
        least = ranking_bounds(name, rate, n_id=pair.n_id, n_ood=pair.n_ood, level=level)
        return wider(self.sampled(head, name, level), least)


def compare(
    metrics: Mapping[str, PairMetrics],
    pairs: Mapping[str, tuple[ArrayLike, ArrayLike]],
    id_draws: Draws,
    ood_draws: Draws,
    *,
    decisions: Mapping[str, NDArray[np.bool_]],
) -> Compared:
    """One OOD set against ID images, with replicates.

    Args:
        metrics: By head.
        pairs: By head, the scores of the ID and of the OOD images.
        id_draws: Of the ID images.
        ood_draws: Of the OOD images.
        decisions: By head, whether each OOD image was flagged; empty if that is not asked for.
    """
    ranked = pair_replicates(pairs, id_draws, ood_draws)
    if not decisions:
        return Compared(metrics, {}, ranked)
    everything = np.ones(ood_draws.n, np.bool_)
    flags = {head: (marks, everything) for head, marks in decisions.items()}
    flagged = mean_replicates(flags, ood_draws)
    rates = {head: float(marks.mean()) for head, marks in decisions.items()}
    return Compared(metrics, rates, {h: {**ranked[h], _FLAGGED: flagged[h]} for h in pairs})


def mean_intervals(
    sets: Sequence[Compared], level: float, weights: Sequence[float] = (1.0,)
) -> dict[str, dict[str, Interval]]:
    """By head and rate, of the mean over sets by weights that add up to 1."""
    names = [field.name for field in fields(GroupMetrics)]
    return {
        head: intervals_of(
            (name, _mean_bounds(sets, weights, head, name, level))
            for name in names
            if name in rates
        )
        for head, rates in sets[0].replicates.items()
    }


def sampled(name: str, rate: float, replicates: NDArray[np.float64], level: float) -> Bounds:
    """The interval that the replicates (B,) of a rate give; NaN if they are too few.

    Args:
        name: As in `edge_ood.metrics.detection.PairMetrics`.
        rate: Of the images as they are.
        replicates: Of the rate.
        level: In (0, 1).
    """
    if name.startswith("fpr95") or rate in (0, 1):
        return percentile_interval(replicates, level)
    low, high = logit_interval(rate, replicates, level)
    return low, min(high, _MOST.get(name, high))


def wider(found: Bounds, least: Bounds | None) -> Bounds:
    """Whatever reaches farther; NaN without enough replicates."""
    ends = np.array([found, least or found])
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def intervals_of(bounds: Iterable[tuple[str, Bounds]]) -> dict[str, Interval]:
    """By name, without those that are NaN."""
    return {name: Interval(*ends) for name, ends in bounds if not math.isnan(sum(ends))}


def _mean_bounds(
    sets: Sequence[Compared], weights: Sequence[float], head: str, name: str, level: float
) -> Bounds:
    if len(sets) == 1:
        return sets[0].bounds(head, name, level)
    rate = float(np.average([one.rate(head, name) for one in sets], weights=weights))
    means = np.average([one.replicates[head][name] for one in sets], axis=0, weights=weights)
    alone = np.array([one.sampled(head, name, level) for one in sets])
    least = np.array([one.bounds(head, name, level) for one in sets])
    beyond = np.maximum((alone - least) * (1, -1), 0)
    below, above = np.average(beyond, axis=0, weights=weights)
    low, high = sampled(name, rate, means, level)
    return max(low - below, 0.0), min(high + above, _MOST.get(name, 1.0))
