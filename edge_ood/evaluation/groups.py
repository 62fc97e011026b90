"""Means over OOD sets: which sets count, with what weight, and how their metrics add up."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from edge_ood.evaluation.results import GroupMetrics, GroupResult, OodResult

__all__ = ["deciding_groups", "group_results"]


def deciding_groups(found: Sequence[Mapping[str, OodResult]]) -> list[list[str]]:
    """Names of the sets that count, by group: near, far and neither.

    Files do, and synthetic images only where there are no others.

    Args:
        found: The sets of one or more artefacts; those of the first that all have are looked at.
    """
    shared = {
        name: result for name, result in found[0].items() if all(name in other for other in found)
    }
    files = {name: result for name, result in shared.items() if result.kind == "files"}
    groups: dict[str, list[str]] = {}
    for name, result in (files or shared).items():
        groups.setdefault(result.group, []).append(name)
    return list(groups.values())


def group_results(ood: Mapping[str, OodResult]) -> dict[str, GroupResult]:
    """Means over the near sets, the far sets, and all that count, as far as there are such.

    `all` is the mean that a head is recommended by: over the sets of each group, and then over the
    groups, so that five far sets do not drown one near set.
    """
    deciding = deciding_groups([ood])
    members = {
        "near": [[name for name, result in ood.items() if result.group == "near"]],
        "far": [[name for name, result in ood.items() if result.group == "far"]],
        "all": deciding,
    }
    return {group: _mean(ood, sets) for group, sets in members.items() if any(sets)}


def _mean(ood: Mapping[str, OodResult], groups: Sequence[Sequence[str]]) -> GroupResult:
    weights = {name: 1 / (len(groups) * len(group)) for group in groups for name in group}
    sets = tuple(name for name in ood if name in weights)
    shares = tuple(weights[name] for name in sets)
    heads = ood[sets[0]].metrics
    return GroupResult(
        sets=sets,
        weights=shares,
        metrics={head: _of_head([ood[name] for name in sets], shares, head) for head in heads},
    )


def _of_head(results: Sequence[OodResult], weights: Sequence[float], head: str) -> GroupMetrics:
    rows = [asdict(result.metrics[head]) | {"flagged": result.flagged[head]} for result in results]
    names = GroupMetrics.__dataclass_fields__
    return GroupMetrics(
        **{name: float(np.dot(weights, [row[name] for row in rows])) for name in names}
    )
