"""Confidence intervals of what an evaluation measures: which rate gets which kind.

- Shares of images (accuracy, realised TPR, flagged): Clopper-Pearson, exact.
- Ranking metrics, mean probabilities and means over sets: bootstrap, on the logit scale. The images
  of a set are drawn alike for all heads and artefacts, ID images also for all OOD sets. Where ID
  and shifted images are one set, each are drawn by themselves.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ood.evaluation.compared import (
    Bounds,
    Compared,
    compare,
    intervals_of,
    mean_intervals,
    sampled,
    wider,
)
from edge_ood.evaluation.plan import ID_SET
from edge_ood.evaluation.results import (
    ArtifactResult,
    Bootstrap,
    HeadOnId,
    IdResult,
    Interval,
    ShiftedResult,
)
from edge_ood.evaluation.scored import Scored
from edge_ood.metrics.bootstrap import (
    logit_interval,
    mean_replicates,
    misclassification_replicates,
)
from edge_ood.metrics.exact_intervals import clopper_pearson, ranking_bounds
from edge_ood.metrics.resamples import Draws, Resamples, Strata
from edge_ood.threads import ordered_map

__all__ = ["AurocReplicates", "with_intervals"]

AurocReplicates = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Replicates (B,) of AUROC by OOD set and head."""

_UNKNOWN: Bounds = (math.nan, math.nan)
_OF_WRONG_AGAINST_RIGHT = {"auroc": "auroc", "aupr_right": "aupr_in", "aupr_wrong": "aupr_out"}


def with_intervals(
    artifact: ArtifactResult,
    inside: Scored,
    outside: Mapping[str, Scored],
    shifted: Mapping[str, Scored],
    *,
    bootstrap: Bootstrap,
    on_set: Callable[[], None] = lambda: None,
) -> tuple[ArtifactResult, AurocReplicates]:
    """The results of one artefact with all intervals, and what it is compared by.

    Args:
        artifact: As measured, without intervals.
        inside: What the artefact says about the ID images.
        outside: What it says about each OOD set.
        shifted: What it says about each shifted set.
        bootstrap: With 0 replicates there are no intervals.
        on_set: Called after each OOD set, and after each with each shifted set, to show progress.
    """
    if not bootstrap.replicates:
        return artifact, {}
    drawn = _Drawn.of(inside, outside, shifted, bootstrap)
    pairs = [(name, known) for known in (ID_SET, *shifted) for name in outside]
    # Side by side: most of it is NumPy on large arrays, which lets other threads run.
    compared = ordered_map(lambda pair: drawn.compare(artifact, *pair), pairs, ahead=1)
    sets = {}
    for pair, one in zip(pairs, compared, strict=True):
        sets[pair] = one
        on_set()
    level = bootstrap.level
    alone = {name: sets[name, ID_SET] for name in outside}
    measured = replace(
        artifact,
        id=_on_id(artifact.id, inside, drawn.draws[ID_SET], level),
        ood={
            name: replace(result, intervals=mean_intervals([alone[name]], level))
            for name, result in artifact.ood.items()
        },
        groups={
            name: replace(
                group,
                intervals=mean_intervals(
                    [alone[member] for member in group.sets], level, group.weights
                ),
            )
            for name, group in artifact.groups.items()
        },
        shifted={
            known: replace(
                _on_shifted(result, shifted[known], drawn.draws[known], level),
                full_spectrum={
                    name: replace(pair, intervals=mean_intervals([sets[name, known]], level))
                    for name, pair in result.full_spectrum.items()
                },
            )
            for known, result in artifact.shifted.items()
        },
    )
    aurocs = {
        name: {head: rates["auroc"] for head, rates in one.replicates.items()}
        for name, one in alone.items()
    }
    return measured, aurocs


@dataclass(frozen=True)
class _Drawn:
    """Answers for all images, and how each set is drawn, by name of the set."""

    scored: Mapping[str, Scored]
    draws: Mapping[str, Resamples]

    @classmethod
    def of(
        cls,
        inside: Scored,
        outside: Mapping[str, Scored],
        shifted: Mapping[str, Scored],
        bootstrap: Bootstrap,
    ) -> "_Drawn":
        scored = {ID_SET: inside, **outside, **shifted}
        count, seed = bootstrap.replicates, bootstrap.seed
        return cls(scored, {n: Resamples(n, len(s), count, seed) for n, s in scored.items()})

    def compare(self, artifact: ArtifactResult, name: str, known: str) -> Compared:
        """An OOD set against the ID images, together with those of a shifted set if it is one."""
        inside, outside = self.scored[ID_SET], self.scored[name]
        if known == ID_SET:
            metrics, scores = artifact.ood[name].metrics, inside.scores
            decisions = outside.decisions
            id_draws: Draws = self.draws[ID_SET]
        else:
            metrics = artifact.shifted[known].full_spectrum[name].metrics
            scores, decisions = inside.scores_with(self.scored[known]), {}
            id_draws = Strata((self.draws[ID_SET], self.draws[known]))
        pairs = {head: (scores[head], outside.scores[head]) for head in metrics}
        return compare(metrics, pairs, id_draws, self.draws[name], decisions=decisions)


def _on_id(result: IdResult, inside: Scored, draws: Resamples, level: float) -> IdResult:
    among = {"mean_max_probability": np.ones(len(inside), np.bool_)}
    if inside.is_right is not None:
        among["mean_max_probability_right"] = inside.is_right
        among["mean_max_probability_wrong"] = ~inside.is_right
    heads = {
        head: replace(
            on_id,
            intervals=intervals_of(
                [
                    ("realised_tpr", _share(~inside.decisions[head], level)),
                    ("accepted_accuracy", _accepted(inside, head, level)),
                    *_of_mistakes(on_id, inside.scores[head], inside.is_right, draws, level),
                ]
            ),
        )
        for head, on_id in result.heads.items()
    }
    return replace(
        result, intervals=_of_classifier(result, inside, among, draws, level), heads=heads
    )


def _on_shifted(
    result: ShiftedResult, shifted: Scored, draws: Resamples, level: float
) -> ShiftedResult:
    among = {"mean_max_probability": np.ones(len(shifted), np.bool_)}
    heads = {
        head: replace(
            on_shifted,
            intervals=intervals_of(
                [
                    ("flagged", _share(shifted.decisions[head], level)),
                    ("accepted_accuracy", _accepted(shifted, head, level)),
                ]
            ),
        )
        for head, on_shifted in result.heads.items()
    }
    intervals = _of_classifier(result, shifted, among, draws, level)
    return replace(result, intervals=intervals, heads=heads)


def _of_classifier(
    result: IdResult | ShiftedResult,
    scored: Scored,
    among: Mapping[str, NDArray[np.bool_]],
    draws: Resamples,
    level: float,
) -> dict[str, Interval]:
    """Of the accuracy, and of mean probabilities over some of the images, by name."""
    accuracy = _UNKNOWN if scored.is_right is None else _share(scored.is_right, level)
    means = mean_replicates({n: (scored.confidence, mask) for n, mask in among.items()}, draws)
    rates = [(n, logit_interval(getattr(result, n), drawn, level)) for n, drawn in means.items()]
    return intervals_of([("accuracy", accuracy), *rates])


def _share(marks: NDArray[np.bool_], level: float) -> Bounds:
    """Of the fraction of images that are marked; NaN of none."""
    return clopper_pearson(int(marks.sum()), len(marks), level) if len(marks) else _UNKNOWN


def _accepted(scored: Scored, head: str, level: float) -> Bounds:
    """Of the accuracy on what a head accepts; NaN without labels or acceptance."""
    if scored.is_right is None:
        return _UNKNOWN
    return _share(scored.is_right[~scored.decisions[head]], level)


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
        bounds.append((name, wider(sampled(kind, rate, replicates, level), least)))
    return bounds
