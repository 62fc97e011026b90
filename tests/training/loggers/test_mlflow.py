"""Runs of MLflow, as its own client finds them in a store on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ood.errors import InputError

pytest.importorskip("torch")
mlflow = pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of this test."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())


def runs() -> list[Any]:
    """All runs of the default experiment."""
    return list(mlflow.MlflowClient().search_runs(["0"]))


def history(run: Any, name: str) -> list[tuple[int, float]]:
    """Steps and values of a metric."""
    found = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    return [(metric.step, metric.value) for metric in found]


def expected(columns: dict[str, list[float]]) -> dict[str, list[tuple[int, float]]]:
    """Columns of a table as steps and values."""
    return {name: list(enumerate(numbers, 1)) for name, numbers in columns.items()}


def test_metrics_are_the_rows_of_the_table(
    train: Callable[..., Path], columns: Callable[[Path], dict[str, list[float]]]
) -> None:
    """In a finished run that is called like the folder, with the settings as parameters."""
    folder = train(log=["mlflow"])

    (run,) = runs()
    assert ("run", "FINISHED") == (run.info.run_name, run.info.status)
    assert ("2", "wrn-10-1:dropout=0.25") == (run.data.params["epochs"], run.data.params["model"])
    assert expected(columns(folder)) == {name: history(run, name) for name in run.data.metrics}


def test_a_run_that_goes_on_repeats_no_epoch(train: Callable[..., Path]) -> None:
    """It is the same run, which was said to be killed meanwhile."""
    train(log=["mlflow"], stopped=True)
    (stopped,) = runs()

    train(log=["mlflow"], resume=True)

    (run,) = runs()
    assert ("KILLED", "FINISHED") == (stopped.info.status, run.info.status)
    assert [1, 2] == [step for step, _ in history(run, "training_loss")]


def test_a_run_of_the_callers_goes_on(train: Callable[..., Path]) -> None:
    """Training inside it is a run of its own, and does not end it."""
    with mlflow.start_run(run_name="outer") as outer:
        train(log=["mlflow"])

        assert outer.info.run_id == mlflow.active_run().info.run_id
    assert ["outer", "run"] == sorted(run.info.run_name for run in runs())


def test_a_store_that_cannot_be_used_is_refused_before_training(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with what MLflow says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://there")

    with pytest.raises(InputError, match=r"cannot log to mlflow: .*nonsense://there"):
        train(log=["mlflow"])

    assert [] == list(tmp_path.iterdir())


def test_a_run_that_the_store_does_not_have_is_refused_before_training(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's log goes on half in one place and half in another."""
    train(log=["mlflow"], stopped=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "other").as_uri())

    with pytest.raises(InputError, match=r"cannot log to mlflow: Run '\w+' not found"):
        train(log=["mlflow"], resume=True)
