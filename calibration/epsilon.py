"""Choosing the length of an input perturbation from a table of scores.

No test set and no calibration image takes part: the ID images are training images, the OOD
images auxiliary outliers or adversarial images made from training images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError
from edge_ood.metrics.detection import auroc_of_pair

__all__ = ["DEFAULT_EPSILON", "EPSILON_GRID", "EpsilonChoice", "choose_by_auroc", "choose_by_mean"]

DEFAULT_EPSILON = 0.0014
"""Of the ODIN paper, in raw [0, 1] pixel units."""

EPSILON_GRID = (0.0, 0.0005, 0.001, 0.0014, 0.002, 0.0024, 0.005, 0.01)
"""Candidates of the Mahalanobis paper's code, without its largest: a bounded grid, because large
steps win on some validation sets by destroying every image."""


@dataclass(frozen=True)
class EpsilonChoice:
    """What was chosen, and why.

    Attributes:
        epsilon: In raw [0, 1] pixel units.
        criterion: What was maximised.
        curve: Its value at each candidate, in the order of the grid.
        at_end: Whether the largest value was at the last candidate.
        kept_default: Whether the default was kept because the maximum says nothing.
    """

    epsilon: float
    criterion: str
    curve: Mapping[float, float]
    at_end: bool
    kept_default: bool = False


def choose_by_auroc(
    table: Mapping[float, tuple[NDArray[np.floating], NDArray[np.floating]]], criterion: str
) -> EpsilonChoice:
    """The candidate that separates ID from OOD images best.

    Args:
        table: By candidate, scores of ID (N,) and OOD (M,) images; larger is more
            out-of-distribution.
        criterion: Name of the criterion, which says what the OOD images are.

    Returns:
        The choice; the smallest candidate wins a tie.

    Raises:
        CalibrationError: If a score is not finite.
    """
    curve = {}
    for epsilon, (id_scores, ood_scores) in table.items():
        _check_finite(id_scores)
        _check_finite(ood_scores)
        curve[epsilon] = auroc_of_pair(id_scores, ood_scores)
    best = max(curve, key=lambda epsilon: (curve[epsilon], -epsilon))
    return EpsilonChoice(best, criterion, curve, at_end=best == max(curve))


def choose_by_mean(table: Mapping[float, NDArray[np.floating]]) -> EpsilonChoice:
    """The candidate with the most confident ID images (Generalized ODIN, Hsu et al. 2020).

    The criterion is monotone in practice: a longer step lowers the scores of all images. When its
    maximum is at the end of the grid it says nothing, and the default is kept.

    Args:
        table: By candidate, scores of ID images (N,); larger is more out-of-distribution.

    Raises:
        CalibrationError: If a score is not finite.
    """
    for scores in table.values():
        _check_finite(scores)
    curve = {eps: -float(np.mean(scores, dtype=np.float64)) for eps, scores in table.items()}
    best = max(curve, key=lambda epsilon: (curve[epsilon], -epsilon))
    at_end = best == max(curve)
    chosen = DEFAULT_EPSILON if at_end else best
    return EpsilonChoice(chosen, "id-only", curve, at_end=at_end, kept_default=at_end)


def _check_finite(scores: NDArray[np.floating]) -> None:
    if not np.isfinite(scores).all():
        raise CalibrationError("a score is not finite while choosing epsilon")
