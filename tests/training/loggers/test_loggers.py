"""Loggers hear what the caller hears, and cost nobody a trained network."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from edge_ood.errors import (
    ChanceLevelError,
    DataError,
    InputError,
    MissingDependencyError,
    UnknownNameError,
)
from edge_ood.training.loggers import LOGGERS, Logger, chosen_loggers, numbers_of, telling
from edge_ood.training.progress import Progress
from edge_ood.training.run_directory import EpochReport, Run

RUN = cast("Run", "any run")


class Heard:
    """A log that keeps what it is told, and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.words: list[Any] = []
        self._error = error

    def write(self, report: EpochReport) -> None:
        """Keep the epoch."""
        if self._error is not None:
            raise self._error
        self.words.append(report.epoch)

    def close(self, *, finished: bool) -> None:
        """Keep how it ended."""
        self.words.append(finished)

    def logger(self, name: str = "heard") -> Logger:
        """Writes to this log, and says so."""

        def begin(run: Run, first_epoch: int) -> "Heard":
            self.words.append(f"from {first_epoch}")
            return self

        return Logger(name, note=lambda run: "it is heard", begin=begin)


def epoch(number: int) -> EpochReport:
    """A report of an epoch without validation images."""
    return EpochReport(number, 0.1, 1.5, math.nan, 10.0, 2.0)


def test_an_epoch_is_logged_as_numbers() -> None:
    """By the columns of metrics.csv, as far as they have a value."""
    assert {
        "learning_rate": 0.1,
        "training_loss": 1.5,
        "images_per_s": 10.0,
        "seconds": 2.0,
    } == numbers_of(epoch(1))


def test_a_log_hears_each_epoch() -> None:
    """From the first of this process on, and that the run is finished."""
    log = Heard()

    with telling([log.logger()], Progress()) as told:
        told.on_start(RUN)
        told.on_epoch(epoch(3))
        told.on_epoch(epoch(4))

    assert ["from 3", 3, 4, True] == log.words


def test_the_caller_hears_the_same() -> None:
    """And where the epochs are found, before the first."""
    heard: list[Any] = []
    progress = Progress(
        on_start=lambda run: heard.append("start"),
        on_epoch=lambda report: heard.append(report.epoch),
        on_note=heard.append,
    )

    with telling([Heard().logger()], progress) as told:
        told.on_start(RUN)
        told.on_epoch(epoch(1))

    assert ["it is heard", "start", 1] == heard


@pytest.mark.parametrize(
    ("error", "finished"), [(KeyboardInterrupt(), False), (ChanceLevelError("x"), True)], ids=str
)
def test_a_log_hears_how_the_run_ended(error: BaseException, finished: bool) -> None:
    """A run at chance level is complete; one that was interrupted is not."""
    log = Heard()

    def train() -> None:
        with telling([log.logger()], Progress()) as told:
            told.on_start(RUN)
            told.on_epoch(epoch(1))
            raise error

    with pytest.raises(type(error)):
        train()

    assert finished is log.words[-1]


def test_a_log_that_fails_is_a_note() -> None:
    """Training goes on, and so do other logs."""
    heard: list[Any] = []
    progress = Progress(on_epoch=lambda r: heard.append(r.epoch), on_note=heard.append)
    bad, good = Heard(DataError("the server is gone")), Heard()

    with telling([bad.logger("bad"), good.logger()], progress) as told:
        told.on_start(RUN)
        heard.clear()
        told.on_epoch(epoch(1))

    assert ["the server is gone", 1] == heard
    assert True is good.words[-1]


def test_a_logger_is_chosen_once() -> None:
    """However often it is named."""
    assert ["csv"] == [logger.name for logger in chosen_loggers(["csv", "csv"], None)]


@pytest.mark.parametrize("name", LOGGERS.names())
def test_a_logger_is_called_like_its_file(name: str) -> None:
    """So that its folder in a run directory is found."""
    assert name == LOGGERS.get(name).name


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_missing_package_is_named_before_training(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With what installs it; no run directory is made."""
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingDependencyError, match=f"--log {name} needs {name}") as caught:
        train(log=[name])

    assert f"pip install 'edge-ood[{name}]'" == caught.value.hint
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_logger_is_refused_before_training(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    """With the closest name."""
    pytest.importorskip("torch")

    with pytest.raises(UnknownNameError, match="unknown logger 'tensorbord'") as caught:
        train(log="tensorbord")

    assert "did you mean 'tensorboard'?" == caught.value.hint
    assert [] == list(tmp_path.iterdir())


def test_csv_says_where_the_table_is(train: Callable[..., Path]) -> None:
    """Every run has it, so that nothing else is written."""
    pytest.importorskip("torch")
    notes: list[str] = []

    run = train(log="csv", progress=Progress(on_note=notes.append))

    assert [] == [path for path in run.iterdir() if path.is_dir()]
    assert 1 == sum(f"'{run / 'metrics.csv'}' has a row for each epoch" in note for note in notes)


def test_a_log_without_a_run_is_somebody_elses(train: Callable[..., Path], tmp_path: Path) -> None:
    """A folder `tensorboard` that no run stands beside is not replaced, even by force."""
    pytest.importorskip("torch")
    (tmp_path / "run" / "tensorboard").mkdir(parents=True)

    with pytest.raises(InputError, match="it holds 'tensorboard'"):
        train(force=True)
