"""Event files, as TensorBoard's own reader finds them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """By name, steps with values."""
    events = accumulator.EventAccumulator(str(run / "tensorboard")).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def expected(columns: dict[str, list[float]]) -> dict[str, list[tuple[int, float]]]:
    """Columns of a table as events have them, in float32."""
    return {
        name: [(row, float(np.float32(number))) for row, number in enumerate(numbers, 1)]
        for name, numbers in columns.items()
    }


def test_events_are_the_rows_of_the_table(
    train: Callable[..., Path], columns: Callable[[Path], dict[str, list[float]]]
) -> None:
    """One scalar for each column, a step for each epoch."""
    run = train(log=["tensorboard"])

    assert expected(columns(run)) == scalars(run)


def test_a_run_that_goes_on_repeats_no_epoch(
    train: Callable[..., Path], columns: Callable[[Path], dict[str, list[float]]]
) -> None:
    """Not even the one that was logged and not saved, whose values are those of the second time."""
    train(log=["tensorboard"], stopped=True)

    run = train(log=["tensorboard"], resume=True)

    assert expected(columns(run)) == scalars(run)


def test_a_run_that_starts_again_has_no_other_events(train: Callable[..., Path]) -> None:
    """`force` replaces the log with the run."""
    train(log=["tensorboard"])

    run = train(log=["tensorboard"], force=True, epochs=1)

    assert [1] == [step for step, _ in scalars(run)["training_loss"]]


def test_logging_changes_no_weight(train: Callable[..., Path]) -> None:
    """Bit for bit."""
    without = (train() / "model.safetensors").read_bytes()

    assert without == (train(log=["tensorboard"], force=True) / "model.safetensors").read_bytes()


def test_only_the_first_process_logs(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the many that torchrun starts, as it counts them in RANK."""
    monkeypatch.setenv("RANK", "1")

    assert not (train(log=["tensorboard"]) / "tensorboard").exists()
