"""A log of a training run says that it is alive, but not too often."""

import pytest

from edge_ood.cli import _training_display
from edge_ood.cli._training_display import TrainingDisplay
from edge_ood.training.progress import StepReport


def test_a_log_has_signs_of_life_at_growing_distances(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a step a second the first comes after 8 of them, and each later one twice as late."""
    seconds = 0.0
    monkeypatch.setattr(_training_display.time, "monotonic", lambda: seconds)
    display = TrainingDisplay()

    for step in range(1, 61):
        seconds += 1
        display.callbacks.on_step(StepReport(step, 100, 1, 0.5, 32.0))

    said = capsys.readouterr().err.splitlines()
    assert ["step 9", "step 26", "step 59"] == [line.partition(" of ")[0] for line in said]


def test_the_summary_fits_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 60 columns a long line goes on below its text."""
    monkeypatch.setenv("COLUMNS", "60")

    TrainingDisplay().callbacks.on_summary({"classes": "word " * 20, "images": "1,418 train"})

    said = capsys.readouterr().err.splitlines()
    assert 60 >= max(map(len, said))
    assert ["classes  word", "         word", "images   1,418"] == [
        *(line[:13] for line in said[:2]),
        said[-1][:14],
    ]
