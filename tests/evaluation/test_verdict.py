"""What an artefact does as it ships is said in counts of 100 images."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from edge_ood.evaluation.verdict import verdict


def model(
    passing: float, groups: dict[str, float], *, alpha: float = 0.05, accuracy: float = math.nan
) -> Any:
    """What the sentence is made of, for a head `energy`."""
    return SimpleNamespace(
        primary="energy",
        alpha=alpha,
        id=SimpleNamespace(
            heads={"energy": SimpleNamespace(realised_tpr=passing)},
            is_labelled=not math.isnan(accuracy),
            accuracy=accuracy,
        ),
        groups={
            name: SimpleNamespace(metrics={"energy": SimpleNamespace(flagged=flagged)})
            for name, flagged in groups.items()
        },
    )


def test_near_and_far_are_counted_apart() -> None:
    """The mean over all is not said where there are both."""
    found = verdict(model(0.934, {"near": 0.344, "far": 0.876, "all": 0.6}, accuracy=0.91))

    assert found == (
        "Of 100 ID images 93 pass, 95 promised; of 100 near OOD images 34 are caught; of 100 far "
        "OOD images 88 are caught; of 100 ID images 91 get the right label."
    )


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0.0, "0"), (0.004, "fewer than 1"), (0.996, "more than 99"), (1.0, "100")],
)
def test_almost_none_is_not_none(rate: float, expected: str) -> None:
    """Rounding never says that nothing, or everything, is caught."""
    assert f"of 100 OOD images {expected} are caught." in verdict(model(0.95, {"all": rate}))


def test_a_manual_threshold_is_said_without_a_rate() -> None:
    """Nothing was promised, and without OOD images nothing is caught."""
    assert "Of 100 ID images 80 pass." == verdict(model(0.8, {}, alpha=math.nan))
