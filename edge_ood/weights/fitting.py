"""Weights of somebody's whole network put into an own classifier, as far as they fit.

A network is known outside under names of its own, with its own last layer. What wrappers put before
the names is taken off, of each name by itself: a checkpoint may have `backbone.conv1` beside `fc`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from edge_ood.errors import ArtifactError
from edge_ood.models import Classifier, Trunk
from edge_ood.weights.file import UNUSED, Weights

__all__ = ["Fitted", "fitted"]

_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
_ENOUGH = 0.9
"""Of the trunk's values: less is another network."""

_OUR_TRUNK, _OUR_HEAD = "trunk.", "heads.linear.0."
_MOST_NAMED = 3


@dataclass(frozen=True)
class Fitted:
    """What of some weights a classifier takes.

    Attributes:
        trunk: What there is of its state.
        head: `weight` (C, D) and `bias` (C,) of the last layer, for the C classes that the weights
            tell apart; empty where none fits.
        notes: What was left out, in one sentence.
    """

    trunk: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    notes: tuple[str, ...]


def fitted(weights: Weights, classifier: Classifier, model: str) -> Fitted:
    """Find the names and shapes of a classifier among weights.

    Args:
        weights: Of the network as it is known outside edge-ood, or of a run.
        classifier: As it was drawn.
        model: What messages call the network.

    Raises:
        ArtifactError: If less than nine tenths of the trunk's values are among them; it has the
            first name of both sides.
    """
    trunk = classifier.trunk
    state = trunk.state_dict()
    best = max(
        (_matched(weights.arrays, state, before, head) for before, head in _namings(trunk)),
        key=lambda match: match.values,
    )
    counted = {n: array for n, array in state.items() if not n.endswith(UNUSED)}
    share = best.values / sum(array.numel() for array in counted.values())
    if share < _ENOUGH:
        own = next(iter(counted)).removeprefix(trunk.known_within)
        raise ArtifactError(
            f"{weights.called} belongs to another network: {share:.0%} of the values of {model!r} "
            f"are in it, expected {_ENOUGH:.0%}; it names {next(iter(weights.arrays))!r}, the "
            f"network {own!r}",
            hint="give the --model, with its parameters, that the weights were trained in",
        )
    missing = sorted(set(counted) - set(best.trunk))
    left = [*best.left, *(f"{n.removeprefix(trunk.known_within)} (not there)" for n in missing)]
    shown = ", ".join(left[:_MOST_NAMED]) + (" ..." if len(left) > _MOST_NAMED else "")
    notes = [f"{len(left)} weights of {weights.called} do not fit and are left out: {shown}"]
    return Fitted(best.trunk, best.head, tuple(notes) if left else ())


@dataclass(frozen=True)
class _Match:
    """What fits under one way to name a network: state of trunk and head, and names left over."""

    trunk: dict[str, Tensor]
    head: dict[str, Tensor]
    left: list[str]

    @property
    def values(self) -> int:
        return sum(a.numel() for name, a in self.trunk.items() if not name.endswith(UNUSED))


def _namings(trunk: Trunk) -> Iterator[tuple[dict[str, str], str]]:
    """By outside name the trunk's own, and what the last layer's names begin with outside."""
    names = list(trunk.state_dict())
    yield {_OUR_TRUNK + name: name for name in names}, _OUR_HEAD
    outside = {name.removeprefix(trunk.known_within): name for name in names}
    yield outside, f"{trunk.end}." if trunk.end else ""


def _matched(
    arrays: Mapping[str, Tensor], state: Mapping[str, Tensor], known: Mapping[str, str], head: str
) -> _Match:
    ends = {f"{head}{part}": part for part in ("weight", "bias")} if head else {}
    match = _Match({}, {}, [])
    for name, array in arrays.items():
        bare = _bare(name, {*known, *ends})
        own = known.get(bare)
        if own is not None and state[own].shape == array.shape:
            match.trunk[own] = array.to(state[own].dtype)
        elif bare in ends:
            match.head[ends[bare]] = array.float()
        elif not name.endswith(UNUSED):
            match.left.append(f"{name} {tuple(array.shape)}")
    return match


def _bare(name: str, wanted: Collection[str]) -> str:
    """The name without what wrappers put before it, as soon as it is one that is wanted."""
    bare = name
    while bare not in wanted:
        prefix = next((prefix for prefix in _PREFIXES if bare.startswith(prefix)), None)
        if prefix is None:
            return name
        bare = bare.removeprefix(prefix)
    return bare
