"""Calibrations as the metadata hold them: the one in force, and earlier ones to go back to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_ood.artifact.device import Device
from edge_ood.artifact.packed import Manifest, PackedArray
from edge_ood.calibration.combination import RULES
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.errors import InputError

__all__ = ["PROBE_IMAGES", "ArchivedCalibration", "Calibration", "Probe", "ProbeVerdicts"]

PROBE_IMAGES = 4
_MOST_IMAGES = 2**24
"""The graph counts in float32."""

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Calibration:
    """How the thresholds came about.

    Attributes:
        alpha: False-alarm rate on ID images, in (0, 1).
        n: Number of calibration images; 0 before the first calibration.
        thresholds: By head; flagged is `not (score <= threshold)`. Where they are per class,
            those of classes without one of their own.
        date: ISO 8601, UTC.
        confidence: Probability over calibration sets with which alpha is held; 0 for on average.
        per_class: Whether alpha is held within predicted classes.
        class_counts: Calibration images by predicted class (K,) if `per_class`, else empty.
        manual_thresholds: Heads whose threshold is the user's and not from images.
        combined: Whether there is a combined score.
        combined_n: Images that its threshold comes from, the second half.
        combined_class_counts: These by predicted class (K,) if `per_class`, else empty.
        combined_of: Heads that it is made of; empty for all.
        combined_rule: How, see `edge_ood.calibration.combination.RULES`.
    """

    alpha: float
    n: int
    thresholds: Mapping[str, float]
    date: str
    confidence: float = 0.0
    per_class: bool = False
    class_counts: tuple[int, ...] = ()
    manual_thresholds: tuple[str, ...] = ()
    combined: bool = False
    combined_n: int = 0
    combined_class_counts: tuple[int, ...] = ()
    combined_of: tuple[str, ...] = ()
    combined_rule: str = RULES[0]

    def __post_init__(self) -> None:
        if not set(self.manual_thresholds) <= set(self.thresholds):
            raise InputError(f"manual thresholds of {self.manual_thresholds}, which are no scores")
        if not 0 <= self.n <= _MOST_IMAGES:
            raise InputError(f"calibration with {self.n} images")
        for head, threshold in self.thresholds.items():
            if not abs(threshold) <= _LARGEST_FLOAT32:
                raise InputError(f"threshold {threshold} of {head!r}, expected a float32 number")
        if self.n:
            self.guarantee.check_images(self.n)
        self._check_samples()

    def _check_samples(self) -> None:
        needed = self.guarantee.minimum_images
        least = needed if self.combined and self.n else 0
        if not least <= self.combined_n <= (self.n if least else 0):
            raise InputError(f"a combined score from {self.combined_n} of {self.n} images")
        for sample in (self.sample, self.combined_sample):
            counts = sample.class_counts
            if sum(counts) != (sample.n if self.per_class else 0) or min(counts, default=0) < 0:
                raise InputError(f"calibration images by class {counts}, {sample.n} in all")
            if counts:
                self.guarantee.own_classes(counts)

    @property
    def guarantee(self) -> Guarantee:
        """What the calibration guarantees."""
        return Guarantee(
            self.alpha,
            self.confidence,
            self.per_class,
            self.combined,
            self.combined_of,
            self.combined_rule,
        )

    @property
    def sample(self) -> Sample:
        """The images that the thresholds come from."""
        return Sample(self.n, self.class_counts)

    @property
    def combined_sample(self) -> Sample:
        """The images that the thresholds of the combined score come from."""
        return Sample(self.combined_n, self.combined_class_counts)


@dataclass(frozen=True)
class ProbeVerdicts:
    """What a score within its tolerance may lead to on each probe image.

    Attributes:
        least_pvalues: Of the highest score; in (0, 1].
        greatest_pvalues: Of the lowest score.
        least_decisions: Of the lowest score: whether it is flagged even there.
        greatest_decisions: Of the highest score.
    """

    least_pvalues: Sequence[float]
    greatest_pvalues: Sequence[float]
    least_decisions: Sequence[bool]
    greatest_decisions: Sequence[bool]

    def __post_init__(self) -> None:
        pvalues = list(zip(self.least_pvalues, self.greatest_pvalues, strict=False))
        decisions = list(zip(self.least_decisions, self.greatest_decisions, strict=False))
        sides = vars(self).values()
        ordered = all(0 < least <= greatest <= 1 for least, greatest in pvalues)
        ordered &= all(least <= greatest for least, greatest in decisions)
        if {len(side) for side in sides} != {PROBE_IMAGES} or not ordered:
            raise InputError(f"the probe's p-values or decisions are damaged: {self}")


@dataclass(frozen=True)
class Probe:
    """Seeded images and the scores they had where the artefact was calibrated; empty until then.

    Attributes:
        seed: Of the images, see `edge_ood.runtime.probe.probe_images`.
        labels: Predicted class indices.
        scores: By head.
        tolerances: By head; how far a device may be away.
        device: Where they were recorded; unknown in files of earlier versions.
        verdicts: By head, and of `combined`; empty in files of earlier versions.
    """

    seed: int
    labels: Sequence[int] = ()
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    device: Device = field(default_factory=Device)
    verdicts: Mapping[str, ProbeVerdicts] = field(default_factory=dict)

    def check(self, heads: Sequence[str], outputs: Sequence[str]) -> None:
        """Refuse a probe that does not cover exactly these heads, and the decisions of outputs."""
        if self.verdicts and set(self.verdicts) != set(outputs):
            raise InputError(f"the probe decides {sorted(self.verdicts)}, expected {list(outputs)}")
        if not self.labels and not self.scores and not self.tolerances:
            return
        lengths = {len(values) for values in (self.labels, *self.scores.values())}
        if not set(self.scores) == set(self.tolerances) == set(heads) or lengths != {PROBE_IMAGES}:
            raise InputError(f"the probe covers {sorted(self.scores)}, expected {sorted(heads)}")
        if min(self.tolerances.values()) < 0:
            raise InputError(f"probe tolerances {self.tolerances}, expected numbers >= 0")


@dataclass(frozen=True)
class ArchivedCalibration:
    """An earlier calibration with all that it takes to restore it.

    Attributes:
        calibration: As it was in force.
        images: The manifest of its images.
        provider: onnxruntime execution provider that it ran on.
        heads: Names but for `combined`, in the order of the arrays' rows.
        arrays: Those of its `Decision`, by name.
        probe: As it was in force; empty in files of earlier versions, which never changed it.
    """

    calibration: Calibration
    images: Manifest
    provider: str
    heads: tuple[str, ...]
    arrays: Mapping[str, PackedArray]
    probe: Probe = field(default_factory=lambda: Probe(0))

    def __post_init__(self) -> None:
        try:
            decision = self.decision()
            decision.check()
        except InputError as error:
            raise InputError(f"an earlier calibration is damaged: {error}") from error
        if set(decision.outputs) != set(self.calibration.thresholds):
            raise InputError(f"an earlier calibration has knots for {sorted(decision.outputs)}")

    @classmethod
    def of(
        cls, calibration: Calibration, images: Manifest, provider: str, decision: Decision
    ) -> "ArchivedCalibration":
        """Pack a calibration."""
        arrays = {name: PackedArray.of(array) for name, array in decision.to_arrays().items()}
        return cls(calibration, images, provider, decision.table.heads, arrays)

    @property
    def packed_bytes(self) -> int:
        """How much of a file the arrays take."""
        return sum(len(array.values) for array in self.arrays.values())

    def decision(self) -> Decision:
        """The decision, to the bit.

        Raises:
            InputError: If an array is missing or damaged.
        """
        arrays = {name: packed.unpacked() for name, packed in self.arrays.items()}
        return Decision.from_arrays(self.heads, arrays, self.calibration.guarantee)
