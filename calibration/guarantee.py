"""What a calibration guarantees: the false-alarm rate, and in which sense it is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.combination import FEWEST_COMBINED, RULES
from edge_ood.calibration.threshold import minimum_images, threshold_rank
from edge_ood.errors import CalibrationError, InputError

__all__ = ["NOTHING_COMBINED", "Changes", "Guarantee", "Sample"]

_WISHES = ("alpha", "confidence", "per_class", "combined")


@dataclass(frozen=True)
class Guarantee:
    """A false-alarm rate on ID images, and in which sense it is held.

    Attributes:
        alpha: The rate, in (0, 1).
        confidence: Probability over calibration sets with which it is held; 0 for on average.
        per_class: Whether it is held within each predicted class that has `minimum_images`; the
            others share thresholds from all images.
        combined: Whether a combined score has a decision, too, of which one half of the images
            fixes the p-values that it combines, and the other half the threshold.
        combined_of: Heads that it is made of; empty for all.
        combined_rule: How, one of `RULES`.

    Raises:
        InputError: If a value is out of range.
    """

    alpha: float = 0.05
    confidence: float = 0.0
    per_class: bool = False
    combined: bool = False
    combined_of: tuple[str, ...] = ()
    combined_rule: str = RULES[0]

    def __post_init__(self) -> None:
        minimum_images(self.alpha, self.confidence)
        if self.combined_rule not in RULES:
            raise InputError(
                f"a combined score by {self.combined_rule!r}, expected {' or '.join(RULES)}"
            )
        of = self.combined_of
        if len(set(of)) != len(of) or len(of) == FEWEST_COMBINED - 1:
            raise InputError(f"a combined score of {', '.join(of)}, expected two heads or more")

    def members(self, heads: Sequence[str]) -> tuple[str, ...]:
        """What the combined score is made of, given all heads of a file.

        Raises:
            InputError: If one of them is none of these heads.
        """
        if strange := [name for name in self.combined_of if name not in heads]:
            raise InputError(
                f"the combined score reads {', '.join(strange)}, not among {', '.join(heads)}"
            )
        return self.combined_of or tuple(heads)

    @property
    def minimum_images(self) -> int:
        """Smallest number of calibration images, of each class that has a threshold of its own."""
        return minimum_images(self.alpha, self.confidence)

    @property
    def needed_images(self) -> int:
        """Smallest number of calibration images in all: `minimum_images`, of each half if any."""
        return 2 * self.minimum_images if self.combined else self.minimum_images

    def check_images(self, n: int) -> None:
        """Refuse too few images before any is opened.

        Raises:
            CalibrationError: If n is less than `minimum_images`, or twice that if there is a
                combined score.
        """
        threshold_rank(n, self.alpha, self.confidence)
        if n < self.needed_images:
            raise CalibrationError(
                f"{n} calibration images are too few for a combined score, expected 2 x "
                f"{self.minimum_images}: one half fixes its p-values, the other its threshold",
                hint="add images, or do without 'combined'",
            )

    def own_classes(self, counts: Sequence[int]) -> NDArray[np.int64]:
        """Indices of the classes with thresholds of their own, given images by class (K,).

        Raises:
            CalibrationError: If no class has enough.
        """
        if not self.per_class:
            return np.zeros(0, np.int64)
        own: NDArray[np.int64] = np.flatnonzero(np.asarray(counts) >= self.minimum_images)
        if not len(own):
            raise CalibrationError(
                f"no predicted class has more than {max(counts)} of the calibration images, "
                f"expected {self.minimum_images} for a threshold of its own",
                hint="add images, or leave out --per-class",
            )
        return own


NOTHING_COMBINED = Guarantee()
"""The usual rate, of each head alone."""


@dataclass(frozen=True)
class Sample:
    """The images that a threshold comes from.

    Attributes:
        n: Their number; 0 before the first calibration.
        class_counts: Their number by predicted class (K,), where thresholds are per class; else
            empty.
    """

    n: int
    class_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What a file shall hold from now on, where that is not what it holds now.

    Attributes:
        alpha: As in `Guarantee`, here and below; None keeps it.
        confidence: None keeps it.
        per_class: None keeps it.
        combined: None keeps it.
        thresholds: Manual ones, by head: they decide in place of those that images give.
        although_flagged: Also by images most of which it flags now.
    """

    alpha: float | None = None
    confidence: float | None = None
    per_class: bool | None = None
    combined: bool | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    although_flagged: bool = False

    def applied_to(self, guarantee: Guarantee) -> Guarantee:
        """The guarantee with these changes."""
        wishes = {name: getattr(self, name) for name in _WISHES}
        return replace(guarantee, **{k: v for k, v in wishes.items() if v is not None})
