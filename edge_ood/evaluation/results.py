"""What an evaluation finds, as plain values: everything that a table, page or figure shows.

    Evaluation                          the sets, the bootstrap, the recommendation
    |- ArtifactResult                   one artefact
    |  |- IdResult                      its answers for the ID images
    |  |  `- HeadOnId                   one score head on them
    |  |- OodResult                     one OOD set against the ID images
    |  |- GroupResult                   means over the near, the far and all OOD sets
    |  |- ShiftedResult                 images of the classes under other conditions
    |  |  |- HeadOnShifted              one score head on them
    |  |  `- FullSpectrum               with the ID images, against one OOD set
    |  `- CorruptionResult              the ID images after one corruption, at five strengths
    `- Recommendation                   the head (and artefact) to take, in sentences

Rates are fractions in [0, 1], NaN where they are undefined (null in JSON). An `intervals` mapping
holds the confidence interval of a rate under the name of its field, where it has one (see
`intervals`), and is empty without bootstrap.
ID is in-distribution, OOD out-of-distribution. Some keys are older than the word for what they
hold: `models` and `model` for artefacts, `seen` and `allowed_seen` for the overlap of test images
with those an artefact was made from. They stay, because programs read them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_ood.evaluation.shifted_results import FullSpectrum, HeadOnShifted, ShiftedResult
from edge_ood.evaluation.values import (
    Bootstrap,
    ClassAlarms,
    ClassQuality,
    Example,
    GroupMetrics,
    Histogram,
    Interval,
    OperatingPoint,
    PValueCurve,
    Recommendation,
    Reliability,
    Rival,
    ThresholdCurve,
)
from edge_ood.metrics.detection import Misclassification, PairMetrics

__all__ = [
    "ArtifactResult",
    "Bootstrap",
    "ClassAlarms",
    "ClassQuality",
    "CorruptedResult",
    "CorruptionResult",
    "Example",
    "FullSpectrum",
    "GroupMetrics",
    "GroupResult",
    "HeadOnId",
    "HeadOnShifted",
    "Histogram",
    "IdResult",
    "Interval",
    "OodResult",
    "OperatingPoint",
    "PValueCurve",
    "Recommendation",
    "Reliability",
    "Rival",
    "ShiftedResult",
    "ThresholdCurve",
]


@dataclass(frozen=True)
class HeadOnId:
    """One score head on the ID images.

    Attributes:
        realised_tpr: Fraction accepted by the artefact's own thresholds.
        accepted_accuracy: Accuracy on the accepted images; NaN without labels or acceptance.
        misclassification: How well the score finds wrong predictions; NaN without labels.
        thresholds: Of each of the K predicted classes; a larger score is flagged.
        classes: K classes, in the artefact's order.
        pvalues: The fraction of ID images that each rate on p-values would flag.
        intervals: Of `realised_tpr`, `accepted_accuracy` and the rates of `misclassification`.
        suspicious: The 12 images with the largest score, that one first.
    """

    realised_tpr: float
    accepted_accuracy: float
    misclassification: Misclassification
    thresholds: tuple[float, ...] = ()
    classes: tuple[ClassAlarms, ...] = ()
    pvalues: PValueCurve = field(default_factory=PValueCurve)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    suspicious: tuple[Example, ...] = ()


@dataclass(frozen=True)
class IdResult:
    """What does not depend on an OOD set.

    Attributes:
        n: Number of images.
        is_labelled: Whether every image lies below a folder named after a class.
        seen: Overlap: by role (such as `training`), how many images had that role for the artefact.
        accuracy: Fraction of right predictions; NaN without labels.
        mean_max_probability: Mean probability of the predicted class.
        mean_max_probability_right: The same over right predictions; NaN without any.
        mean_max_probability_wrong: The same over wrong predictions; NaN without any.
        expected_calibration_error: Over 15 equal-width bins; NaN without labels.
        rms_calibration_error: Root mean square in place of the mean; NaN without labels.
        reliability: The bins of the calibration error; empty without labels.
        intervals: Of the rates above.
        heads: By head.
        calibration_error_before: The expected calibration error at temperature 1, where the
            artefact's probabilities have another; NaN without labels.
        classes: K classes, in the artefact's order; empty without labels.
        confusion: Images of each true class (row) by predicted class (column); empty without labels
            and beyond 30 classes.
    """

    n: int
    is_labelled: bool
    seen: Mapping[str, int]
    accuracy: float
    mean_max_probability: float
    mean_max_probability_right: float
    mean_max_probability_wrong: float
    expected_calibration_error: float
    rms_calibration_error: float
    reliability: Reliability
    intervals: Mapping[str, Interval]
    heads: Mapping[str, HeadOnId]
    calibration_error_before: float = math.nan
    classes: tuple[ClassQuality, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class OodResult:
    """One OOD set against the ID images.

    Attributes:
        n: Number of images.
        group: `near`, `far`, or empty.
        kind: `files`, `synthetic` or `adversarial`.
        seen: Overlap: by role (such as `outliers`), how many images had that role for the artefact.
        mean_max_probability: Mean probability of the predicted class.
        flagged: By head, the fraction flagged by the artefact's own thresholds.
        metrics: By head, at all thresholds.
        intervals: By head, of the fields of its `metrics`, and of `flagged`.
        curves: By head.
        histograms: By head.
        trusted: By head, the 12 images with the smallest score, that one first.
        source: The folder, or the kind of synthetic images with its parameters, as it was given.
    """

    n: int
    group: str
    kind: str
    seen: Mapping[str, int]
    mean_max_probability: float
    flagged: Mapping[str, float]
    metrics: Mapping[str, PairMetrics]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    curves: Mapping[str, ThresholdCurve] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    trusted: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class GroupResult:
    """Several OOD sets together.

    Attributes:
        sets: Their names.
        weights: Of the sets, 1 in total.
        metrics: By head.
        intervals: By head, of the fields of its `metrics`.
    """

    sets: tuple[str, ...]
    weights: tuple[float, ...]
    metrics: Mapping[str, GroupMetrics]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


@dataclass(frozen=True)
class CorruptedResult:
    """The ID images after one corruption at one strength.

    Attributes:
        strength: 1 (weak) to 5 (strong).
        n: Number of images.
        accuracy: Fraction of right predictions; NaN without labels.
        mean_max_probability: Mean probability of the predicted class.
        expected_calibration_error: Over 15 equal-width bins; NaN without labels.
        flagged: By head, the fraction flagged by the artefact's own thresholds.
        auroc: By head, of the corrupted images as OOD against the clean ones.
    """

    strength: int
    n: int
    accuracy: float
    mean_max_probability: float
    expected_calibration_error: float
    flagged: Mapping[str, float]
    auroc: Mapping[str, float]


@dataclass(frozen=True)
class CorruptionResult:
    """One corruption of the ID images, weakest first."""

    name: str
    strengths: tuple[CorruptedResult, ...]


@dataclass(frozen=True)
class ArtifactResult:
    """One artefact on the ID set and the OOD sets.

    Attributes:
        name: What tells it from the other artefacts, from its path.
        path: The file, as it was given.
        sha256: Of the file, hexadecimal.
        n_bytes: Size of the file.
        precision: What its classifier computes in: `fp32`, `fp16` or `int8`.
        heads: Names of the score heads.
        primary: The head behind the artefact's `is_ood`.
        alpha: False-alarm rate the thresholds were calibrated for; `1 - alpha` is guaranteed. NaN
            where the primary head decides by a manual threshold.
        objective: How the classifier was trained, with all parameters; empty where unknown.
        id: The ID set.
        ood: By name of the OOD set.
        groups: `near`, `far` and `all` (every set that a recommendation counts), as far as they
            have sets.
        corruptions: In the order asked for.
        shifted: By name of the shifted set.
        temperature: Of its class probabilities, `softmax(logits / temperature)`.
        operating_points: Of the false-alarm rates 1, 2, 5, 10 and 20 %.
        verdict: What it does as it ships, in counts of 100 images.
    """

    name: str
    path: str
    sha256: str
    n_bytes: int
    precision: str
    heads: tuple[str, ...]
    primary: str
    alpha: float
    objective: str
    id: IdResult
    ood: Mapping[str, OodResult]
    groups: Mapping[str, GroupResult] = field(default_factory=dict)
    corruptions: tuple[CorruptionResult, ...] = ()
    shifted: Mapping[str, ShiftedResult] = field(default_factory=dict)
    temperature: float = 1.0
    operating_points: tuple[OperatingPoint, ...] = ()
    verdict: str = ""

    @property
    def ranked_heads(self) -> tuple[str, ...]:
        """The heads, that with the largest mean AUROC first; as they are without OOD images."""
        if "all" not in self.groups:
            return self.heads
        metrics = self.groups["all"].metrics
        return tuple(sorted(self.heads, key=lambda head: -metrics[head].auroc))

    def __repr__(self) -> str:
        heads, sets = ", ".join(self.heads), ", ".join(self.ood) or "none"
        primary = f"primary {self.primary}"
        return f"ArtifactResult({self.name!r}, heads {heads}, {primary}, OOD sets {sets})"

    @property
    def distinct_groups(self) -> tuple[str, ...]:
        """The groups, without one that has the same sets as an earlier one."""
        found: dict[frozenset[str], str] = {}
        for name, result in self.groups.items():
            found.setdefault(frozenset(result.sets), name)
        return tuple(found.values())

    @property
    def mean_groups(self) -> tuple[str, ...]:
        """Those of several sets: of a single one the means are its own rates."""
        return tuple(name for name in self.distinct_groups if len(self.groups[name].sets) > 1)
