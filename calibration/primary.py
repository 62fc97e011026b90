"""Which score decides, chosen on training-side evidence: a rule that is fixed in advance.

1. The default decides unless another candidate is clearly better.
2. Evidence is AUROC, of the same ID images against OOD images in groups, `near` and `far`. The
   measure is its mean over the groups.
3. A candidate takes the place of the default only if its mean is at least 1 point higher and the
   bootstrap 95 % interval of the difference, over draws that both share, lies above 0,
4. and if it is at least 1 point above in every group. So no group alone chooses: outliers foretell
   how well a score finds near OOD images, and hardly anything of far ones. Asked for half a point
   less at most, the rule took `msp` for `energy` on two published networks, where it is 2 to 3
   points worse; of the replacements that this rule makes there none was worse.
5. Of several such candidates the one with the largest mean is taken.
6. With fewer than 100 images of ID or of a group the default stays.

A score that is NaN counts as the largest, as it does in an artefact, which flags it.

Source: this project. That outliers rank scores as near OOD images do and not as far ones do was
measured on three published CIFAR-10 networks: rank correlations of .96 to .97 against .13 to .51.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError
from edge_ood.metrics.bootstrap import pair_replicates, percentile_interval
from edge_ood.metrics.detection import auroc_of_pair
from edge_ood.metrics.resamples import Resamples

__all__ = ["PrimaryChoice", "check_evidence", "choose_primary"]

_FEWEST_JUDGING = 100
_CHANCE = 0.5
_GAIN = 0.01
_LEVEL = 0.95
_REPLICATES, _SEED = 1000, 0

_Scores = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True)
class PrimaryChoice:
    """What decides, and why.

    Attributes:
        primary: The score that decides.
        default: The one that would if nothing were chosen.
        why: One sentence.
        auroc: In [0, 1], by candidate and group; empty if the evidence was too weak to look at.
    """

    primary: str
    default: str
    why: str
    auroc: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence that names the candidates below chance, as a mean over groups; or nothing."""
        means = {name: fmean(by_group.values()) for name, by_group in self.auroc.items()}
        below = [f"{name!r} ({mean:.1%})" for name, mean in means.items() if mean < _CHANCE]
        if not below:
            return ()
        return (
            f"upside down, by the images that choose: {', '.join(below)}; OOD images get smaller "
            "scores than ID images, so nothing should be decided by that",
        )


def check_evidence(what: str, count: int) -> None:
    """Refuse to choose by too few images.

    Raises:
        CalibrationError: It names what the images are.
    """
    if count < _FEWEST_JUDGING:
        raise CalibrationError(
            f"{count} {what} are left to choose by, expected {_FEWEST_JUDGING} or more"
        )


def choose_primary(
    default: str, id_scores: _Scores, ood_scores: Mapping[str, _Scores]
) -> PrimaryChoice:
    """The candidate that decides by the rule above.

    Args:
        default: One of the candidates, of which there are two or more.
        id_scores: By candidate, scores (N,) of the same ID images; larger is more OOD.
        ood_scores: By group and candidate, scores (M,) of the same OOD images of that group.
    """
    known = {name: _ranked(scores) for name, scores in id_scores.items()}
    strange = {
        group: {name: _ranked(scores[name]) for name in known}
        for group, scores in ood_scores.items()
    }
    found = {
        name: {group: auroc_of_pair(known[name], s[name]) for group, s in strange.items()}
        for name in known
    }
    rivals = sorted((n for n in known if n != default), key=lambda n: -_mean(found[n]))
    better = [n for n in rivals if _mean(found[n]) - _mean(found[default]) >= _GAIN]
    drawn = _mean_replicates([default, *better], known, strange) if better else {}
    differences = {name: drawn[name] - drawn[default] for name in better}
    refusals = {n: _refusal(found[n], found[default], differences.get(n)) for n in rivals}
    chosen = next((name for name in rivals if not refusals[name]), default)
    if chosen == default:
        best = rivals[0]
        why = f"as by default: {best!r}, the best of the others, is {refusals[best]}"
    else:
        low, high = percentile_interval(differences[chosen], _LEVEL)
        why = (
            f"not {default!r}: its mean AUROC over {' and '.join(strange)} images is "
            f"{_mean(found[chosen]):.2%}, not {_mean(found[default]):.2%} ({_LEVEL:.0%} interval "
            f"of the difference {100 * low:.2f} to {100 * high:.2f} points)"
        )
    return PrimaryChoice(chosen, default, f"{chosen!r} decides, {why}", found)


def _ranked(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.where(np.isnan(scores), np.inf, np.asarray(scores, np.float64))


def _mean(by_group: Mapping[str, float]) -> float:
    return float(np.mean(list(by_group.values())))


def _mean_replicates(
    names: Sequence[str], known: _Scores, strange: Mapping[str, _Scores]
) -> dict[str, NDArray[np.float64]]:
    """By candidate, replicates (B,) of its mean AUROC over the groups."""
    parts = []
    for group, scores in strange.items():
        pairs = {name: (known[name], scores[name]) for name in names}
        sides = (("ID", known), (group, scores))
        draws = [Resamples(n, len(next(iter(s.values()))), _REPLICATES, _SEED) for n, s in sides]
        parts.append(pair_replicates(pairs, *draws))
    return {name: np.mean([part[name]["auroc"] for part in parts], axis=0) for name in names}


def _refusal(
    rival: Mapping[str, float],
    default: Mapping[str, float],
    differences: NDArray[np.float64] | None,
) -> str:
    """Why a candidate does not take the place of the default; empty if it does.

    Without replicates of the difference of means it is too small.
    """
    gain = _mean(rival) - _mean(default)
    if differences is None:
        side = "below" if gain < 0 else "above"
        return f"{100 * abs(gain):.2f} points of mean AUROC {side} it, expected 1 above or more"
    above = f"{100 * gain:.2f} points of mean AUROC above it"
    low, high = percentile_interval(differences, _LEVEL)
    if not low > 0:
        ends = f"{100 * low:.2f} to {100 * high:.2f}"
        return f"{above}, which may be chance ({_LEVEL:.0%} interval {ends})"
    worst = min(rival, key=lambda group: rival[group] - default[group])
    least = rival[worst] - default[worst]
    if least >= _GAIN:
        return ""
    return f"{above}, but {100 * least:+.2f} over {worst} images, expected 1 above or more"
