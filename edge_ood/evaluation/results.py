"""What an evaluation finds, as plain values."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_ood.metrics import Misclassification, PairMetrics

__all__ = ["Evaluation", "HeadOnId", "IdResult", "OodResult"]


@dataclass(frozen=True)
class HeadOnId:
    """One score head on the in-distribution (ID) images; rates in [0, 1].

    Attributes:
        realised_tpr: Fraction accepted by the artefact's own threshold.
        accepted_accuracy: Accuracy on the accepted images; NaN without labels or acceptance.
        misclassification: How well the score finds wrong predictions; NaN without labels.
    """

    realised_tpr: float
    accepted_accuracy: float
    misclassification: Misclassification


@dataclass(frozen=True)
class IdResult:
    """What does not depend on an OOD set; rates in [0, 1].

    Attributes:
        n: Number of images.
        is_labelled: Whether every image lies below a folder named after a class.
        seen: By role (such as `training`), how many images had that role for the artefact.
        accuracy: Fraction of right predictions; NaN without labels.
        mean_max_probability: Mean probability of the predicted class.
        expected_calibration_error: Over 15 equal-width bins; NaN without labels.
        heads: By head.
    """

    n: int
    is_labelled: bool
    seen: Mapping[str, int]
    accuracy: float
    mean_max_probability: float
    expected_calibration_error: float
    heads: Mapping[str, HeadOnId]


@dataclass(frozen=True)
class OodResult:
    """One out-of-distribution (OOD) set against the ID images; rates in [0, 1].

    Attributes:
        n: Number of images.
        seen: By role (such as `outliers`), how many images had that role for the artefact.
        mean_max_probability: Mean probability of the predicted class.
        flagged: By head, the fraction flagged by the artefact's own threshold.
        metrics: By head, at all thresholds.
    """

    n: int
    seen: Mapping[str, int]
    mean_max_probability: float
    flagged: Mapping[str, float]
    metrics: Mapping[str, PairMetrics]


@dataclass(frozen=True)
class Evaluation:
    """One artefact on one ID set and any number of OOD sets.

    Attributes:
        heads: Names of the score heads.
        primary: The head behind the artefact's `is_ood`.
        alpha: False-alarm rate the thresholds were calibrated for; `1 - alpha` is promised. NaN
            where the primary head decides by a threshold of the user's own.
        objective: How the classifier was trained, with all parameters; empty where unknown.
        id: The ID set.
        ood: By name of the OOD set.
    """

    heads: tuple[str, ...]
    primary: str
    alpha: float
    objective: str
    id: IdResult
    ood: Mapping[str, OodResult]

    def to_json(self) -> dict[str, Any]:
        """A document of plain values, the fields of the dataclasses; NaN becomes None."""
        document: dict[str, Any] = _without_nan(asdict(self))
        return document


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
