"""Which two heads to combine, where together they tell more than any score of the artefact.

The surprises of `edge_ood.calibration.combination` are fixed by one half of the ID images, by hash;
the other half stands against the OOD images, of which none fits anything. By the same mean AUROC
over groups and sets as heads are recommended by, the best pair is told if it is above the
recommended head, and above the artefact's own combined score, by more than chance in these images.
It is the best of many, which flatters it more than a head.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.combination import COMBINED, fit_combination
from edge_ood.evaluation.groups import macro_mean
from edge_ood.evaluation.plan import ID_SET
from edge_ood.evaluation.results import Bootstrap
from edge_ood.files.text import printable
from edge_ood.metrics.bootstrap import pair_replicates, percentile_interval
from edge_ood.metrics.detection import auroc_of_pair
from edge_ood.metrics.resamples import Resamples

__all__ = ["pair_sentence"]

_FEWEST_IMAGES = 100
_BySet = Mapping[str, NDArray[np.float32]]


def pair_sentence(
    head: str,
    scores: Mapping[str, _BySet],
    groups: Sequence[Sequence[str]],
    first_half: NDArray[np.bool_],
    bootstrap: Bootstrap,
) -> str:
    """What two heads tell together, if it is more than the recommended one does; else nothing.

    Args:
        head: The recommended one.
        scores: By head and set, larger = more OOD; those of the N ID images are of `ID_SET`.
        groups: Names of the OOD sets that count, by group.
        first_half: Mask (N,) of the ID images that fix surprises; if these or the others are fewer
            than 100, there is nothing to say.
        bootstrap: Without replicates there is nothing to say.
    """
    few = min(first_half.sum(), (~first_half).sum()) < _FEWEST_IMAGES
    if few or not bootstrap.replicates:
        return ""
    sets = [name for group in groups for name in group]
    judged = {
        name: {ID_SET: found[ID_SET][~first_half], **{s: found[s] for s in sets}}
        for name, found in scores.items()
    }
    surprises = {
        name: _surprises(scores[name][ID_SET][first_half], judged[name])
        for name in scores
        if name != COMBINED
    }
    pairs = {
        (one, other): {s: surprises[one][s] + surprises[other][s] for s in (ID_SET, *sets)}
        for one, other in itertools.combinations(surprises, 2)
    }
    if not pairs:
        return ""
    best = max(pairs, key=lambda pair: _mean_auroc(pairs[pair], groups))
    together = _mean_auroc(pairs[best], groups)
    rivals = [judged[name] for name in dict.fromkeys((head, COMBINED)) if name in judged]
    if any(together <= _mean_auroc(rival, groups) for rival in rivals):
        return ""  # before anything is drawn
    leads = [_lead(pairs[best], rival, groups, bootstrap) for rival in rivals]
    if not all(low > 0 for low, _ in leads):
        return ""
    low, high = leads[0]
    one, other = map(printable, best)
    return (
        f"Together '{one}' and '{other}' have {together:.2%}, '{printable(head)}' has "
        f"{_mean_auroc(rivals[0], groups):.2%}; the difference is {100 * low:.2f} to "
        f"{100 * high:.2f} points ({bootstrap.level:.0%} interval): --scores "
        f"combined:of={one}+{other}. Of {len(pairs)} pairs it is the best on these images, which "
        "flatters it; one half of the ID images, by hash, fixes what their sum is, and these "
        f"numbers are of the other {int((~first_half).sum()):,}."
    )


def _surprises(known: NDArray[np.float32], by_set: _BySet) -> dict[str, NDArray[np.float32]]:
    """Surprises of one head by set, given what its ID scores are; those of a pair add up."""
    fitted = fit_combination({"": known})
    return {name: fitted.score({"": scores}) for name, scores in by_set.items()}


def _mean_auroc(by_set: _BySet, groups: Sequence[Sequence[str]]) -> float:
    found = {n: auroc_of_pair(by_set[ID_SET], by_set[n]) for group in groups for n in group}
    return float(macro_mean(found, groups))


def _lead(
    pair: _BySet, rival: _BySet, groups: Sequence[Sequence[str]], bootstrap: Bootstrap
) -> tuple[float, float]:
    """Interval of the mean AUROC of a pair minus that of a score, on draws that both share."""

    def draws(name: str) -> Resamples:
        return Resamples(name, len(pair[name]), bootstrap.replicates, bootstrap.seed)

    def difference(name: str) -> NDArray[np.float64]:
        both = {key: (of[ID_SET], of[name]) for key, of in (("pair", pair), ("rival", rival))}
        drawn = pair_replicates(both, draws(ID_SET), draws(name))
        return drawn["pair"]["auroc"] - drawn["rival"]["auroc"]

    drawn = macro_mean({name: difference(name) for group in groups for name in group}, groups)
    return percentile_interval(drawn, bootstrap.level)
