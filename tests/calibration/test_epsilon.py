"""Choosing the length of a perturbation from a table of scores."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edge_ood.calibration.epsilon import (
    DEFAULT_EPSILON,
    EPSILON_GRID,
    choose_by_auroc,
    choose_by_mean,
)
from edge_ood.errors import CalibrationError

KNOWN = np.array([0.0, 1.0, 2.0, 3.0])


def test_the_best_auroc_wins() -> None:
    """The curve is scikit-learn's AUROC at each candidate, and its largest value is chosen."""
    generator = np.random.default_rng(0)
    shifts = {0.0: 0.2, 0.001: 1.5, 0.002: 0.7}
    table = {
        epsilon: (generator.normal(size=50), generator.normal(shift, size=30))
        for epsilon, shift in shifts.items()
    }
    expected = {
        epsilon: roc_auc_score([0] * 50 + [1] * 30, np.concatenate(scores))
        for epsilon, scores in table.items()
    }

    choice = choose_by_auroc(table, "outliers")

    assert 0.001 == choice.epsilon
    assert expected == pytest.approx(choice.curve)
    assert list(shifts) == list(choice.curve)
    assert ("outliers", False, False) == (choice.criterion, choice.at_end, choice.kept_default)


def test_the_smallest_of_equals_wins() -> None:
    """Where every candidate separates perfectly, the image is left as it is."""
    table = dict.fromkeys((0.002, 0.0, 0.001), (KNOWN, KNOWN + 10))

    assert 0.0 == choose_by_auroc(table, "fgsm").epsilon


def test_an_auroc_at_the_end_of_the_grid_is_marked() -> None:
    """The last candidate may win with OOD images, but the choice says that it was the last."""
    table = {0.0: (KNOWN, KNOWN), 0.01: (KNOWN, KNOWN + 1)}

    choice = choose_by_auroc(table, "fgsm")

    assert (0.01, True, False) == (choice.epsilon, choice.at_end, choice.kept_default)


def test_the_lowest_scores_of_id_images_win() -> None:
    """Generalized ODIN: the smallest mean score inside the grid is chosen."""
    table = {0.0: KNOWN, 0.001: KNOWN - 2, 0.002: KNOWN - 1}

    choice = choose_by_mean(table)

    assert 0.001 == choice.epsilon
    assert {0.0: -1.5, 0.001: 0.5, 0.002: -0.5} == choice.curve
    assert ("id-only", False, False) == (choice.criterion, choice.at_end, choice.kept_default)


def test_a_monotone_mean_keeps_the_papers_value() -> None:
    """A maximum at the end of the grid says nothing; 0.0014 is kept, and the choice says so."""
    table = {epsilon: KNOWN - 100 * epsilon for epsilon in EPSILON_GRID}

    choice = choose_by_mean(table)

    assert 0.0014 == DEFAULT_EPSILON == choice.epsilon
    assert choice.at_end
    assert choice.kept_default


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(broken: float) -> None:
    """A NaN would otherwise decide which candidate wins."""
    scores = np.array([0.0, broken])

    with pytest.raises(CalibrationError, match="not finite"):
        choose_by_auroc({0.0: (KNOWN, scores)}, "outliers")
    with pytest.raises(CalibrationError, match="not finite"):
        choose_by_mean({0.0: scores})


def test_the_grid_is_bounded() -> None:
    """Sorted, from no step at all, with the value of the paper, up to a hundredth of the range."""
    assert sorted(EPSILON_GRID) == list(EPSILON_GRID)
    assert 0.0 == EPSILON_GRID[0]
    assert 0.01 == EPSILON_GRID[-1]
    assert DEFAULT_EPSILON in EPSILON_GRID
