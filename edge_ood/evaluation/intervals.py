"""Confidence intervals of what an evaluation measures: which rate gets which kind.

- Shares of images (accuracy, realised TPR, flagged): Clopper-Pearson, exact.
- Ranking metrics, mean probabilities and means over sets: bootstrap, on the logit scale. The images
  of a set are drawn alike for all heads and artefacts, ID images also for all OOD sets.
- FPR95: quantiles of the same replicates. It jumps where scores lie apart, and a deviation of that
  size says nothing on the logit scale near 0.
- No ranking metric has less than `edge_ood.metrics.exact_intervals.ranking_bounds`, such as at
  AUROC 1, which resampling never leaves. What a set of a mean has more than its replicates say is
  added to the interval of the mean, as if all sets erred alike.

Calibration errors have none: the noise of small bins adds to them, and more so in replicates, which
therefore lie above the error itself (Kumar, Liang & Ma 2019, arXiv:1909.10155). A rate without an
interval is not in a mapping.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edge_ood.evaluation.plan import ID_SET
from edge_ood.evaluation.results import (
    ArtifactResult,
    Bootstrap,
    GroupMetrics,
    HeadOnId,
    IdResult,
    Interval,
    OodResult,
)
from edge_ood.evaluation.scored import Scored
from edge_ood.metrics.bootstrap import (
    Resamples,
    logit_interval,
    mean_replicates,
    misclassification_replicates,
    pair_replicates,
    percentile_interval,
)
from edge_ood.metrics.exact_intervals import clopper_pearson, ranking_bounds
from edge_ood.threads import ordered_map

__all__ = ["AurocReplicates", "with_intervals"]

AurocReplicates = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Replicates (B,) of AUROC by OOD set and head."""

Bounds = tuple[float, float]

_MOST = {"detection_error": 0.5}
"""Rates that cannot be as large as 1, by name."""

_OF_WRONG_AGAINST_RIGHT = {"auroc": "auroc", "aupr_right": "aupr_in", "aupr_wrong": "aupr_out"}


def with_intervals(
    artifact: ArtifactResult,
    inside: Scored,
    labels: NDArray[np.int64] | None,
    outside: Mapping[str, Scored],
    bootstrap: Bootstrap,
    *,
    on_set: Callable[[], None] = lambda: None,
) -> tuple[ArtifactResult, AurocReplicates]:
    """The results of one artefact with all intervals, and what it is compared by.

    Args:
        artifact: As measured, without intervals.
        inside: What the artefact says about the N ID images.
        labels: Their classes (N,) as indices into the artefact's; None without labels.
        outside: What it says about each OOD set.
        bootstrap: With 0 replicates there are no intervals.
        on_set: Called after each OOD set, to show progress.
    """
    if not bootstrap.replicates:
        return artifact, {}
    id_draws = _draws(ID_SET, inside, bootstrap)
    # Side by side: most of it is NumPy on large arrays, which lets other threads run.
    compared = ordered_map(
        lambda name: _compared(
            artifact.ood[name],
            inside,
            outside[name],
            id_draws,
            _draws(name, outside[name], bootstrap),
        ),
        artifact.ood,
        ahead=1,
    )
    sets = {}
    for name, one in zip(artifact.ood, compared, strict=True):
        sets[name] = one
        on_set()
    level = bootstrap.level
    measured = replace(
        artifact,
        id=_on_id(artifact.id, inside, labels, id_draws, level),
        ood={
            name: replace(result, intervals=_mean_intervals([sets[name]], level))
            for name, result in artifact.ood.items()
        },
        groups={
            name: replace(
                group, intervals=_mean_intervals([sets[member] for member in group.sets], level)
            )
            for name, group in artifact.groups.items()
        },
    )
    aurocs = {
        name: {head: rates["auroc"] for head, rates in compared.replicates.items()}
        for name, compared in sets.items()
    }
    return measured, aurocs


@dataclass(frozen=True)
class _Compared:
    """One OOD set against the ID images: its rates, and replicates (B,) by head and rate."""

    result: OodResult
    n_id: int
    replicates: Mapping[str, Mapping[str, NDArray[np.float64]]]

    def rate(self, head: str, name: str) -> float:
        if name == "flagged":
            return self.result.flagged[head]
        return float(getattr(self.result.metrics[head], name))

    def sampled(self, head: str, name: str, level: float) -> Bounds:
        return _sampled(name, self.rate(head, name), self.replicates[head][name], level)

    def bounds(self, head: str, name: str, level: float) -> Bounds:
        rate, n = self.rate(head, name), self.result.n
        if name == "flagged":
            return clopper_pearson(round(rate * n), n, level)
        least = ranking_bounds(name, rate, n_id=self.n_id, n_ood=n, level=level)
        return _wider(self.sampled(head, name, level), least)


def _draws(name: str, scored: Scored, bootstrap: Bootstrap) -> Resamples:
    return Resamples(name, len(scored), bootstrap.replicates, bootstrap.seed)


def _compared(
    result: OodResult, inside: Scored, outside: Scored, id_draws: Resamples, ood_draws: Resamples
) -> _Compared:
    pairs = {head: (inside.scores[head], outside.scores[head]) for head in result.metrics}
    ranked = pair_replicates(pairs, id_draws, ood_draws)
    everything = np.ones(len(outside), np.bool_)
    flags = {head: (outside.decisions[head], everything) for head in pairs}
    flagged = mean_replicates(flags, ood_draws)
    replicates = {head: {**ranked[head], "flagged": flagged[head]} for head in pairs}
    return _Compared(result, len(inside), replicates)


def _mean_intervals(sets: Sequence[_Compared], level: float) -> dict[str, dict[str, Interval]]:
    """By head and rate, of the mean over sets; a single set is its own mean."""
    names = [field.name for field in fields(GroupMetrics)]
    return {
        head: _intervals((name, _mean_bounds(sets, head, name, level)) for name in names)
        for head in sets[0].replicates
    }


def _mean_bounds(sets: Sequence[_Compared], head: str, name: str, level: float) -> Bounds:
    if len(sets) == 1:
        return sets[0].bounds(head, name, level)
    rate = fmean(one.rate(head, name) for one in sets)
    means = np.mean([one.replicates[head][name] for one in sets], axis=0)
    sampled = np.array([one.sampled(head, name, level) for one in sets])
    least = np.array([one.bounds(head, name, level) for one in sets])
    below, above = np.maximum((sampled - least) * (1, -1), 0).mean(axis=0)
    low, high = _sampled(name, rate, means, level)
    return max(low - below, 0.0), min(high + above, _MOST.get(name, 1.0))


def _on_id(
    result: IdResult,
    inside: Scored,
    labels: NDArray[np.int64] | None,
    id_draws: Resamples,
    level: float,
) -> IdResult:
    bounds: dict[str, Bounds] = {}
    among = {"mean_max_probability": np.ones(len(inside), np.bool_)}
    is_right = None
    if labels is not None:
        is_right = inside.label_index == labels
        bounds["accuracy"] = clopper_pearson(int(is_right.sum()), len(inside), level)
        among["mean_max_probability_right"] = is_right
        among["mean_max_probability_wrong"] = ~is_right
    means = mean_replicates(
        {name: (inside.confidence, mask) for name, mask in among.items()}, id_draws
    )
    for name, replicates in means.items():
        bounds[name] = logit_interval(getattr(result, name), replicates, level)
    heads = {
        head: replace(
            on_id,
            intervals=_intervals(
                [
                    *_of_decisions(inside.decisions[head], is_right, level),
                    *_of_mistakes(on_id, inside.scores[head], is_right, id_draws, level),
                ]
            ),
        )
        for head, on_id in result.heads.items()
    }
    return replace(result, intervals=_intervals(bounds.items()), heads=heads)


def _of_decisions(
    is_ood: NDArray[np.bool_], is_right: NDArray[np.bool_] | None, level: float
) -> list[tuple[str, Bounds]]:
    n_accepted = int((~is_ood).sum())
    bounds = [("realised_tpr", clopper_pearson(n_accepted, len(is_ood), level))]
    if is_right is not None and n_accepted:
        n_right = int(is_right[~is_ood].sum())
        bounds.append(("accepted_accuracy", clopper_pearson(n_right, n_accepted, level)))
    return bounds


def _of_mistakes(
    on_id: HeadOnId,
    scores: NDArray[np.float32],
    is_right: NDArray[np.bool_] | None,
    id_draws: Resamples,
    level: float,
) -> list[tuple[str, Bounds]]:
    found = on_id.misclassification
    if is_right is None or not found.n_right or not found.n_wrong:
        return []
    bounds = []
    for name, replicates in misclassification_replicates(scores, is_right, id_draws).items():
        rate, kind = getattr(found, name), _OF_WRONG_AGAINST_RIGHT[name]
        least = ranking_bounds(kind, rate, n_id=found.n_right, n_ood=found.n_wrong, level=level)
        bounds.append((name, _wider(_sampled(kind, rate, replicates, level), least)))
    return bounds


def _sampled(name: str, rate: float, replicates: NDArray[np.float64], level: float) -> Bounds:
    if name.startswith("fpr95") or rate in (0, 1):
        return percentile_interval(replicates, level)
    low, high = logit_interval(rate, replicates, level)
    return low, min(high, _MOST.get(name, high))


def _wider(sampled: Bounds, least: Bounds | None) -> Bounds:
    """Whatever reaches farther; NaN without enough replicates."""
    ends = np.array([sampled, least or sampled])
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def _intervals(bounds: Iterable[tuple[str, Bounds]]) -> dict[str, Interval]:
    return {name: Interval(*ends) for name, ends in bounds if not math.isnan(sum(ends))}
