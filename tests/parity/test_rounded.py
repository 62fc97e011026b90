"""How far runs of a classifier that rounds inside may be from each other: by hand."""

import numpy as np
import pytest

from edge_ood.errors import ExportError
from edge_ood.parity.rounded import rounded_limits
from edge_ood.scores import Outputs

REAL = np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [2.0, 2.0]])  # of deviation 1
EXTREMES = np.array([[500.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("real_error", "extreme_error", "limits"),
    [(0.0, 0.0, (0.1, 0.1)), (0.01, 5.0, (0.1, 10.0)), (0.3, 0.01, (0.6, 0.1))],
)
def test_rounding_inside_is_allowed_a_tenth_or_twice_what_another_run_shows(
    real_error: float, extreme_error: float, limits: tuple[float, float]
) -> None:
    """A tenth of the deviation of real images; they and extremes have limits of their own."""
    rows = np.concatenate([REAL, EXTREMES])
    other = rows.copy()
    other[2, 1] += real_error
    other[5, 0] -= extreme_error

    found = rounded_limits(Outputs(rows), [Outputs(rows), Outputs(other)], len(REAL))

    np.testing.assert_allclose(found["logits"], np.repeat(limits, [4, 2]))


def test_a_classifier_whose_own_runs_differ_by_more_than_half_its_deviation_is_refused() -> None:
    """The line says by how much."""
    rows = np.concatenate([REAL, EXTREMES])
    other = rows.copy()
    other[:, 1] += 1.1  # of all numbers one half are off: a root mean square of 0.78

    with pytest.raises(ExportError, match=r"own runs .* differ by 0\.78 of the deviation of 'logi"):
        rounded_limits(Outputs(rows), [Outputs(other)], len(REAL))
