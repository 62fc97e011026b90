"""Crop share and interpolation that labelled images single out, where nobody says them.

Both cost a network only some of the images that it knows, so the plain choice stands unless the
images speak clearly against it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.files.stored import AnyImage
from edge_ood.foreign.conventions import Convention, ForeignNetwork
from edge_ood.foreign.mcnemar import CLEAR, DEVIATIONS, PROMISING, is_better, lead
from edge_ood.foreign.output_kind import predicted
from edge_ood.foreign.pixel_choice import FIRST
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import decode_all
from edge_ood.images.splits import evenly_spread

__all__ = ["Comparison", "LabelledRounds", "choose_geometry"]

_OTHERS: Mapping[str, Any] = {"crop": 0.875, "interpolation": "bicubic"}
"""What most ImageNet networks take instead of the whole square and bilinear."""

_ROUND, _ROUNDS = 128, 3
"""The first round is looked at in two parts: few images show whether anything is to be gained."""


@dataclass(frozen=True)
class Comparison:
    """Two ways to take images, on the same ones.

    Attributes:
        option: Such as `--crop`.
        value: What is taken.
        other: What it was compared with.
        n: Labelled images that were tried.
        gained: Those that it knows only as taken.
        lost: Those that it knows only in the other way.
        measured: Whether that is beyond chance; if not, the plain choice is assumed.
    """

    option: str
    value: str
    other: str
    n: int
    gained: int
    lost: int
    measured: bool

    @property
    def evidence(self) -> str:
        """By what, in words."""
        sure = "" if self.measured else " do not tell"
        return (
            f"{self.n} labelled images{sure}: {self.gained} known only so, {self.lost} only with "
            f"{self.other}"
        )


class LabelledRounds:
    """Labelled images in rounds, decoded and classified as each is asked for, and only once.

    Args:
        network: The classifier.
        first: The first round, of which the first few are evenly spread.
        images: All that may be used; others than the first come in later rounds.
    """

    def __init__(self, network: ForeignNetwork, first: ImageSet, images: ImageSet) -> None:
        used = set(first.paths)
        rest = images.subset(np.array([path not in used for path in images.paths], np.bool_))
        more = evenly_spread(rest, _ROUND * (_ROUNDS - 1))
        count = -(-len(more) // _ROUND)
        parts = [more.subset(np.arange(len(more)) % count == k) for k in range(count)]
        number = np.arange(len(first))
        halves = [first.subset(number < FIRST), first.subset(number >= FIRST)]
        self._network = network
        self._rounds = [part for part in (*halves, *parts) if len(part)]
        self._known: dict[tuple[Convention, int], NDArray[np.bool_]] = {}

    @property
    def used(self) -> set[AnyImage]:
        """The images that were looked at."""
        return {path for _, number in self._known for path in self._rounds[number].paths}

    def pairs(
        self, one: Convention, other: Convention
    ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Which images (N,) it knows in each way, of one round more each time."""
        seen: tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]] = ([], [])
        for number in range(len(self._rounds)):
            for convention, known in zip((one, other), seen, strict=True):
                known.append(self._right(convention, number))
            yield np.concatenate(seen[0]), np.concatenate(seen[1])

    def _right(self, convention: Convention, number: int) -> NDArray[np.bool_]:
        key = (convention, number)
        if key not in self._known:
            images = self._rounds[number]
            pixels, _ = decode_all(images.paths, convention.preprocess)
            self._known[key] = predicted(self._network(pixels, convention)) == images.labels
        return self._known[key]


def choose_geometry(
    rounds: LabelledRounds, convention: Convention, options: Sequence[str]
) -> tuple[Convention, list[Comparison]]:
    """The plain convention, or one that labelled images clearly prefer.

    Args:
        rounds: The images.
        convention: As described, and plain in what is to be chosen.
        options: What is to be chosen: `crop` and `interpolation`, or one of the two.

    Returns:
        The convention, and how each choice was made.

    Raises:
        DataError: If an image cannot be decoded.
    """
    comparisons = []
    for option in options:
        rival = _with(convention, option, _OTHERS[option])
        plain = getattr(convention.preprocess, option)
        if getattr(rival.preprocess, option) == plain:
            continue
        known = _compared(rounds, convention, rival)
        moved = is_better(known[1], than=known[0])
        comparisons.append(_comparison(option, (plain, _OTHERS[option]), known, moved=moved))
        convention = rival if moved else convention
    return convention, comparisons


def _compared(
    rounds: LabelledRounds, plain: Convention, rival: Convention
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What it knows in both ways, of as many images as are worth looking at."""
    known = None
    for known in rounds.pairs(plain, rival):
        if not PROMISING <= lead(known[1], known[0]) < CLEAR:
            break
    assert known is not None  # there is a first round
    return known


def _comparison(
    option: str,
    values: tuple[object, object],
    known: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    *,
    moved: bool,
) -> Comparison:
    taken, other = (values[1], values[0]) if moved else values
    so, otherwise = (known[1], known[0]) if moved else known
    shown, beside = (f"{v:g}" if isinstance(v, float) else str(v) for v in (taken, other))
    return Comparison(
        f"--{option}",
        shown,
        beside,
        n=len(so),
        gained=int((so & ~otherwise).sum()),
        lost=int((otherwise & ~so).sum()),
        measured=lead(so, otherwise) > DEVIATIONS,
    )


def _with(convention: Convention, option: str, value: Any) -> Convention:
    return replace(convention, preprocess=replace(convention.preprocess, **{option: value}))
