"""Which epoch is kept, and when training ends."""

import math

import pytest

from edge_ood.registry import Spec
from edge_ood.training.keeping import has_ended, kept_epoch
from edge_ood.training.run_directory import EpochReport
from edge_ood.training.settings import Settings


def settings_with(keep: str = "last", patience: int = 0) -> Settings:
    return Settings(Spec("wrn-10-1"), Spec("cross-entropy"), keep=keep, patience=patience)


def epochs_with(accuracies: list[float]) -> list[EpochReport]:
    """Reports that differ in nothing else."""
    return [EpochReport(i, 0.1, 1.0, value, 1.0, 1.0) for i, value in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        ([], 0),
        ([0.5], 1),
        ([0.5, 0.9, 0.7], 2),
        ([0.5, 0.7, 0.9], 3),
        ([0.9, 0.7, 0.9, 0.8], 3),
        ([math.nan, math.nan], 2),
    ],
)
def test_the_best_epoch_is_kept_or_the_last(accuracies: list[float], best: int) -> None:
    """Of equals the latest; without validation images the last."""
    epochs = epochs_with(accuracies)

    assert best == kept_epoch(settings_with("best"), epochs)
    assert len(accuracies) == kept_epoch(settings_with("last"), epochs)


@pytest.mark.parametrize(
    ("accuracies", "patience", "expected"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.6], 1, False),
        ([0.5, 0.4, 0.5], 3, False),
        ([0.5, 0.4, 0.5, 0.3], 3, True),
        ([0.5, 0.4, 0.4, 0.6], 3, False),
        ([0.5] * 9, 0, False),
    ],
)
def test_training_ends_when_patience_does(
    accuracies: list[float], patience: int, expected: bool
) -> None:
    """As many epochs without a higher accuracy; an equal one is no higher one."""
    assert expected == has_ended(settings_with(patience=patience), epochs_with(accuracies))
