"""Which head of which artefact to take, by a rule that is fixed before any image is seen.

1. Sets of files decide; synthetic images only where there are no others. Of several artefacts, the
   sets that all of them have.
2. The measure is the mean AUROC: over the sets of each group (near, far, neither), then over the
   groups, so that five far sets do not drown one near set.
3. The difference of two means has a bootstrap interval, over draws that both share. A head whose
   interval reaches 0 is not told apart from the best.
4. A head that may be no better than chance counts only where no other is better.
5. Of those that are left, the primary head of an artefact comes first, for it already decides; then
   one without a gradient, for that costs a second pass; then the larger mean.

Without bootstrap the largest mean is taken, and the sentences say so. The choice is a choice on
test images, which flatters it: it is advice about a head, never a setting of one.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.metadata import Metadata
from edge_ood.calibration.combination import COMBINED
from edge_ood.evaluation.groups import deciding_groups, file_sets, macro_mean
from edge_ood.evaluation.intervals import AurocReplicates
from edge_ood.evaluation.results import ArtifactResult, Interval, Recommendation, Rival
from edge_ood.files.text import printable
from edge_ood.metrics.bootstrap import logit_interval, percentile_interval
from edge_ood.metrics.exact_intervals import ranking_bounds
from edge_ood.scores import perturbs

__all__ = ["heads_with_gradient", "recommend"]

_CHANCE = 0.5
_FEW_IMAGES = 100
_MOST_NAMES = 2
_NO_INTERVAL = Interval(math.nan, math.nan)


def heads_with_gradient(metadata: Metadata) -> frozenset[str]:
    """The heads of an artefact that need a gradient and a second pass, `combined` if one does."""
    found = {head.name for head in metadata.heads if perturbs(head.parameters)}
    members = metadata.calibration.guarantee.members([head.name for head in metadata.heads])
    return frozenset(found | {COMBINED} if found & set(members) else found)


def recommend(
    artifacts: Sequence[ArtifactResult],
    aurocs: Mapping[str, AurocReplicates],
    gradients: Mapping[str, Collection[str]],
    *,
    level: float,
) -> Recommendation | None:
    """The head to take, and among several artefacts the one to take.

    Args:
        artifacts: At least one.
        aurocs: Replicates of AUROC by artefact, set and head; empty without bootstrap.
        gradients: By artefact, the heads that need a gradient.
        level: Of the intervals.

    Returns:
        None if there is no OOD set that all artefacts have, or no head with an AUROC on all.
    """
    groups = deciding_groups([artifact.ood for artifact in artifacts])
    candidates = [
        _Candidate(
            artifact=artifact,
            head=head,
            groups=groups,
            replicates=aurocs.get(artifact.name, {}),
            has_gradient=head in gradients.get(artifact.name, ()),
            is_one_of_several=len(artifacts) > 1,
        )
        for artifact in artifacts
        for head in artifact.heads
        if groups
    ]
    ranked = sorted((c for c in candidates if not math.isnan(c.mean)), key=lambda c: -c.mean)
    if not ranked:
        return None
    alike = [c for c in ranked if not ranked[0].is_above(c, level)]
    alike = [c for c in alike if c.bounds(level).low > _CHANCE] or alike
    chosen = min(alike, key=lambda c: (not c.is_primary, c.has_gradient, -c.mean))
    others = [c for c in ranked if c is not chosen]
    return Recommendation(
        model=chosen.artifact.name,
        head=chosen.head,
        mean_auroc=chosen.mean,
        interval=chosen.interval(level),
        rivals=tuple(
            Rival(c.artifact.name, c.head, chosen.mean - c.mean, chosen.difference(c, level))
            for c in others
        ),
        sentences=(
            _what(chosen, ranked, alike, level),
            *_upside_down(ranked, level),
            _limits(artifacts[0], [name for group in groups for name in group]),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One head of one artefact, on groups of sets."""

    artifact: ArtifactResult
    head: str
    groups: Sequence[Sequence[str]]
    replicates: AurocReplicates
    has_gradient: bool
    is_one_of_several: bool

    @property
    def title(self) -> str:
        """Names come from files."""
        of = f" of '{printable(self.artifact.name)}'" if self.is_one_of_several else ""
        return f"'{printable(self.head)}'{of}"

    @property
    def is_primary(self) -> bool:
        return self.head == self.artifact.primary

    @property
    def mean(self) -> float:
        return float(macro_mean({name: self.auroc(name) for name in self.sets}, self.groups))

    @property
    def sets(self) -> list[str]:
        return [name for group in self.groups for name in group]

    def auroc(self, name: str) -> float:
        return self.artifact.ood[name].metrics[self.head].auroc

    def interval(self, level: float) -> Interval:
        """Of the mean; sets at 0 or 1, which never vary, add what they may be away from there."""
        if not self.replicates:
            return _NO_INTERVAL
        low = high = self.mean
        if self.mean not in (0, 1):
            low, high = logit_interval(self.mean, self._drawn(), level)
        below, above = macro_mean(
            {name: self._hidden(name, level) for name in self.sets}, self.groups
        )
        return Interval(max(low + float(below), 0.0), min(high + float(above), 1.0))

    def bounds(self, level: float) -> Interval:
        """The interval of the mean; without bootstrap the mean itself."""
        return self.interval(level) if self.replicates else Interval(self.mean, self.mean)

    def difference(self, other: "_Candidate", level: float) -> Interval:
        """Of the mean of this one minus that of another."""
        if not self.replicates or not other.replicates:
            return _NO_INTERVAL
        return Interval(*percentile_interval(self._drawn() - other._drawn(), level))

    def is_above(self, other: "_Candidate", level: float) -> bool:
        """Whether it is by more than chance; without bootstrap, whether it is at all."""
        if not self.replicates or not other.replicates:
            return self.mean > other.mean
        difference = self.difference(other, level)
        if difference.low == difference.high:  # as of one image, which is always drawn
            return self.interval(level).low > other.interval(level).high
        return difference.low > 0

    def _drawn(self) -> NDArray[np.float64]:
        return macro_mean(
            {name: self.replicates[name][self.head] for name in self.sets}, self.groups
        )

    def _hidden(self, name: str, level: float) -> tuple[float, float]:
        pair = self.artifact.ood[name].metrics[self.head]
        bounds = ranking_bounds("auroc", pair.auroc, n_id=pair.n_id, n_ood=pair.n_ood, level=level)
        return (bounds[0] - pair.auroc, bounds[1] - pair.auroc) if bounds else (0.0, 0.0)


def _what(
    chosen: _Candidate, ranked: Sequence[_Candidate], alike: Sequence[_Candidate], level: float
) -> str:
    """The sentence that says which head, its mean, and why not another."""
    interval = chosen.interval(level)
    mean = f"{chosen.mean:.2%}"
    if not math.isnan(interval.low):
        mean += f" ({level:.0%} interval {100 * interval.low:.2f} to {interval.high:.2%})"
    one, *more = chosen.sets
    where = f"over {len(chosen.sets)} OOD sets" if more else f"on '{printable(one)}'"
    if len(chosen.sets) > len(chosen.groups) > 1:
        where += f" in {len(chosen.groups)} groups of equal weight"
    best, rest = ranked[0], [c for c in alike if c is not chosen]
    if chosen is not best:
        reason = "is the primary one" if chosen.is_primary else "needs no gradient"
        return (
            f"The head {chosen.title} {reason}, and these images do not tell its mean AUROC "
            f"{where}, {mean}, from the highest, {best.mean:.2%} of {best.title}."
        )
    if len(ranked) == 1:
        return f"The head {chosen.title} is the only one; its mean AUROC {where} is {mean}."
    lead = f"The head {chosen.title} has the highest mean AUROC {where}, {mean}"
    if rest:
        return f"{lead}, which these images do not tell from that of {_listed(rest)}."
    if not chosen.replicates:
        return f"{lead}, but without bootstrap its lead over {ranked[1].title} may be chance."
    return f"{lead}, and leads {ranked[1].title} by more than chance in these images explains."


def _upside_down(ranked: Sequence[_Candidate], level: float) -> list[str]:
    """The sentence that names heads by which OOD images look more known than ID images."""
    found = [c for c in ranked if c.bounds(level).high < _CHANCE]
    if not found:
        return []
    *others, last = [f"{c.title} ({c.mean:.2%})" for c in found]
    heads = f"heads {', '.join(others)} and {last} rank" if others else f"head {last} ranks"
    return [
        f"The {heads} upside down here: OOD images get smaller scores than ID images, so nothing "
        "should be decided by that."
    ]


def _limits(artifact: ArtifactResult, sets: Sequence[str]) -> str:
    """The sentence that says what the choice rests on."""
    deciding = [artifact.ood[name] for name in sets]
    n_ood = sum(result.n for result in deciding)
    rests = f"It was chosen on these test images, {artifact.id.n:,} of ID and {n_ood:,} of OOD"
    reasons = []
    if not file_sets(artifact.ood):
        reasons.append("all OOD images are synthetic")
    elif len(file_sets(artifact.ood)) < len(artifact.ood):
        rests += " (synthetic ones did not count)"
    if min(artifact.id.n, *(result.n for result in deciding)) < _FEW_IMAGES:
        reasons.append(f"a set has fewer than {_FEW_IMAGES} images")
    weak = f"; that is weak evidence, because {' and '.join(reasons)}" if reasons else ""
    return f"{rests}, which flatters it a little{weak}."


def _listed(candidates: Sequence[_Candidate]) -> str:
    names = [c.title for c in candidates[:_MOST_NAMES]]
    more = len(candidates) - len(names)
    if more:
        return f"{', '.join(names)} and {more} more"
    return " and ".join(names)
