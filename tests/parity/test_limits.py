"""How far a file may be from its reference: by hand, on values and float32 errors made up here."""

import numpy as np
import pytest

from edge_ood.calibration.decision import Decision
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import Expected, Reference, Subject
from edge_ood.scores import Outputs

SIZE = 2
REAL = np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [2.0, 2.0]])  # of deviation 1
EXTREMES = np.array([[500.0, 0.0], [0.0, 0.0]])


def allowed(real_error: float, extreme_error: float) -> np.ndarray:
    """Allowed errors (6,) of features that plain float32 gets wrong by so much, on one image."""
    exact = np.concatenate([REAL, EXTREMES])
    error = np.zeros_like(exact)
    error[1, 1], error[4, 0] = real_error, -extreme_error

    def outputs(features: np.ndarray) -> Outputs:
        return Outputs(np.zeros((len(exact), 2)), features={"penultimate": features})

    reference = Reference(lambda images: outputs(exact), lambda images: outputs(exact + error))  # type: ignore[arg-type]  # nothing is perturbed
    batch = np.zeros((len(exact), SIZE, SIZE, 3), np.uint8)
    expected = Expected.of(
        Subject(Preprocess(SIZE), [], Decision.none(["x"], 2)), reference, batch, real=len(REAL)
    )
    return expected.allowed["features/penultimate"]


@pytest.mark.parametrize(
    ("real_error", "extreme_error", "limits"),
    [
        (1e-6, 1e-6, (1e-4, 1e-4)),
        (1e-6, 1e-3, (1e-4, 4e-3)),
        (1e-3, 1e-6, (4e-3, 1e-4)),
    ],
)
def test_features_may_be_off_by_a_share_of_their_deviation_or_as_float32_is(
    real_error: float, extreme_error: float, limits: tuple[float, float]
) -> None:
    """1e-4 of the deviation, or 4 times plain float32's error, for real images and extremes."""
    found = allowed(real_error, extreme_error)

    np.testing.assert_allclose(found, np.repeat(limits, [4, 2]), rtol=1e-9)


def test_a_reference_that_is_not_finite_allows_nothing() -> None:
    """No error is smaller than a limit that is NaN."""
    assert not (0 <= allowed(np.nan, 0)[:4]).any()
