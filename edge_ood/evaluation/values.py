"""The small values that the results of an evaluation are made of; see `results`."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "SYNTHETIC",
    "Bootstrap",
    "ClassAlarms",
    "ClassQuality",
    "Example",
    "GroupMetrics",
    "Histogram",
    "Interval",
    "OperatingPoint",
    "PValueCurve",
    "Recommendation",
    "Reliability",
    "Rival",
    "ThresholdCurve",
]

SYNTHETIC = "#"
"""What the name of a synthetic image begins with, before its index in the set."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were made.

    Attributes:
        replicates: Times the images were drawn again, with replacement; 0 for no intervals.
        level: Confidence of an interval.
        seed: The draws are a function of it.
    """

    replicates: int
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """One image and what one head says about it.

    Attributes:
        path: As in score tables; of a synthetic image, `#` and its index in the set.
        score: Larger is more OOD.
        pvalue: Of the same head.
        label: The predicted class.
        is_ood: The head's decision.
        true_label: The folder's class name; empty where there is none.
    """

    path: str
    score: float
    pvalue: float
    label: str
    is_ood: bool
    true_label: str = ""


@dataclass(frozen=True)
class ClassAlarms:
    """False alarms of one head on the ID images of one class.

    Attributes:
        name: The class.
        n_true: ID images of this class; 0 without labels.
        flagged_true: Fraction of them flagged; NaN without any.
        n_predicted: ID images predicted as this class.
        flagged_predicted: Fraction of them flagged; NaN without any.
    """

    name: str
    n_true: int
    flagged_true: float
    n_predicted: int
    flagged_predicted: float


@dataclass(frozen=True)
class ClassQuality:
    """How well one class is told from the others, on labelled ID images.

    Attributes:
        name: The class.
        n_true: Images of this class.
        n_predicted: Images predicted as this class.
        precision: Fraction of those predicted as it that are of it; NaN without any.
        recall: Fraction of those of it that are predicted as it; NaN without any.
    """

    name: str
    n_true: int
    n_predicted: int
    precision: float
    recall: float


@dataclass(frozen=True)
class OperatingPoint:
    """What deciding at a false-alarm rate does: p-values of at most `alpha` are flagged.

    Attributes:
        alpha: The rate, in (0, 1).
        refused: By head, the fraction of ID images flagged.
        caught: By OOD set and head, the fraction of its images flagged.
    """

    alpha: float
    refused: Mapping[str, float]
    caught: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class GroupMetrics:
    """Means over the OOD sets of a group, by their weights; see `PairMetrics`."""

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95_id_positive: float
    fpr95_ood_positive: float
    detection_error: float
    flagged: float


@dataclass(frozen=True)
class ThresholdCurve:
    """What is accepted as the threshold of one score moves; both axes of a ROC curve, in [0, 1].

    An image is accepted if its score is at most the threshold.

    Attributes:
        thresholds: At most 201, ascending: scores that occur, the smallest and the largest among
            them, evenly spread over the ranks.
        tpr: At each threshold, the fraction of ID images accepted.
        fpr: At each threshold, the fraction of OOD images accepted.
    """

    thresholds: tuple[float, ...]
    tpr: tuple[float, ...]
    fpr: tuple[float, ...]


@dataclass(frozen=True)
class Histogram:
    """How one score is distributed over the ID images and over one OOD set.

    Attributes:
        edges: 61 edges of 60 bins of equal width, ascending, around all but the 0.1 % smallest and
            0.1 % largest scores of either set; what lies outside counts in the bin at the end.
        id_density: 60 fractions of the ID images, sum 1.
        ood_density: 60 fractions of the OOD images, sum 1.
    """

    edges: tuple[float, ...]
    id_density: tuple[float, ...]
    ood_density: tuple[float, ...]


@dataclass(frozen=True)
class Reliability:
    """How often predictions of a given confidence are right, in 15 bins of equal width.

    Bin i of 15 holds the predictions whose probability is in (i / 15, (i + 1) / 15], as in the
    expected calibration error.

    Attributes:
        confidence: Mean probability of the predicted class, by bin; NaN where the bin is empty.
        accuracy: Fraction of right predictions, by bin; NaN where the bin is empty.
        count: Number of images, by bin.

    Source: Guo et al. 2017, arXiv:1706.04599, figure 1.
    """

    confidence: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    count: tuple[int, ...] = ()


@dataclass(frozen=True)
class PValueCurve:
    """The fraction of ID images that each rate on p-values would flag.

    A calibrated p-value keeps `flagged` at or below `levels`, on average over calibration sets.

    Attributes:
        levels: 0, 0.005, ..., 1 (201 of them).
        flagged: At each level, the fraction of ID images whose p-value is at most the level.
    """

    levels: tuple[float, ...] = ()
    flagged: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rival:
    """A head (of an artefact) that was not recommended.

    Attributes:
        model: Name of its artefact.
        head: Its name.
        difference: Mean AUROC of the recommended one minus that of this one.
        interval: Of the difference; both bounds NaN without bootstrap.
    """

    model: str
    head: str
    difference: float
    interval: Interval


@dataclass(frozen=True)
class Recommendation:
    """The head to take, and among several artefacts the one; see `recommendation` for the rule.

    Attributes:
        model: Name of the artefact.
        head: Name of the head.
        mean_auroc: Mean over the groups of OOD sets of their mean.
        interval: Of the mean; both bounds NaN without bootstrap.
        rivals: All others, best first.
        sentences: What to take, and why; then what two heads tell together, where that is more.
    """

    model: str
    head: str
    mean_auroc: float
    interval: Interval
    rivals: tuple[Rival, ...]
    sentences: tuple[str, ...]
