"""Means over OOD sets: which sets count, with what weight, and how their metrics add up."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.evaluation.results import GroupMetrics, GroupResult, OodResult

__all__ = ["deciding_groups", "file_sets", "group_results", "macro_mean"]


def deciding_groups(found: Sequence[Mapping[str, OodResult]]) -> list[list[str]]:
    """Names of the sets that count, by group: near, far and neither.

    Files do, and synthetic images only where there are no others.

    Args:
        found: The sets of one or more artefacts; those of the first that all have are looked at.
    """
    shared = {
        name: result for name, result in found[0].items() if all(name in other for other in found)
    }
    groups: dict[str, list[str]] = {}
    for name, result in (file_sets(shared) or shared).items():
        groups.setdefault(result.group, []).append(name)
    return list(groups.values())


def file_sets(ood: Mapping[str, OodResult]) -> dict[str, OodResult]:
    """The sets that are files, neither synthetic nor adversarial."""
    return {name: result for name, result in ood.items() if result.kind == "files"}


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


def macro_mean(
    by_set: Mapping[str, ArrayLike], groups: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Mean over the sets of each group, and then over the groups; of ones exactly 1.

    Args:
        by_set: Arrays of one shape, which is that of the mean.
        groups: Names of sets.
    """
    weights = _weights(groups)
    values = np.array([by_set[name] for name in weights], np.float64)
    return np.asarray(np.average(values, axis=0, weights=list(weights.values())))


def _weights(groups: Sequence[Sequence[str]]) -> dict[str, float]:
    return {name: 1 / (len(groups) * len(group)) for group in groups for name in group}


def _mean(ood: Mapping[str, OodResult], groups: Sequence[Sequence[str]]) -> GroupResult:
    weights = _weights(groups)
    sets = tuple(name for name in ood if name in weights)
    return GroupResult(
        sets=sets,
        weights=tuple(weights[name] for name in sets),
        metrics={head: _of_head(ood, groups, head) for head in ood[sets[0]].metrics},
    )


def _of_head(
    ood: Mapping[str, OodResult], groups: Sequence[Sequence[str]], head: str
) -> GroupMetrics:
    rows = {
        name: asdict(result.metrics[head]) | {"flagged": result.flagged[head]}
        for name, result in ood.items()
    }
    return GroupMetrics(
        **{
            name: float(macro_mean({one: row[name] for one, row in rows.items()}, groups))
            for name in GroupMetrics.__dataclass_fields__
        }
    )
