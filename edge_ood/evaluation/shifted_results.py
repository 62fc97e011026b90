"""What an evaluation finds on shifted images; see `results`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_ood.evaluation.values import Example, Interval
from edge_ood.metrics.detection import PairMetrics

__all__ = ["FullSpectrum", "HeadOnShifted", "ShiftedResult"]


@dataclass(frozen=True)
class HeadOnShifted:
    """One score head on shifted images, none of which should be flagged.

    Attributes:
        flagged: Fraction flagged by the artefact's own thresholds. The rate that these were made
            for, `alpha`, is promised for images like those of the calibration alone.
        accepted_accuracy: Accuracy on the others; NaN without labels, or where all are flagged.
        intervals: Of both.
        suspicious: The 12 images with the largest score, that one first.
    """

    flagged: float
    accepted_accuracy: float
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    suspicious: tuple[Example, ...] = ()


@dataclass(frozen=True)
class FullSpectrum:
    """ID and shifted images together, as ID, against one OOD set.

    Every image counts once, so that the larger of the two sets weighs more.

    Attributes:
        metrics: By head, at all thresholds.
        intervals: By head, of the rates of its `metrics`.

    Source: Yang, Zhou & Liu 2022, arXiv:2204.05306, section 3.
    """

    metrics: Mapping[str, PairMetrics]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


@dataclass(frozen=True)
class ShiftedResult:
    """Images of the classes under other conditions, such as of another camera.

    Attributes:
        n: Number of images.
        is_labelled: Whether every image lies below a folder named after a class.
        seen: Overlap: by role (such as `training`), how many images had that role for the artefact.
        accuracy: Fraction of right predictions; NaN without labels.
        mean_max_probability: Mean probability of the predicted class.
        expected_calibration_error: Over 15 equal-width bins; NaN without labels.
        intervals: Of `accuracy` and `mean_max_probability`.
        heads: By head.
        full_spectrum: By OOD set.
        source: The folder, as it was given.
    """

    n: int
    is_labelled: bool
    seen: Mapping[str, int]
    accuracy: float
    mean_max_probability: float
    expected_calibration_error: float
    heads: Mapping[str, HeadOnShifted]
    full_spectrum: Mapping[str, FullSpectrum]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    source: str = ""
