"""MLflow: a run of the folder's name with settings as parameters and a metric for each column.

Where it goes is for MLflow's own variables to say: `MLFLOW_TRACKING_URI`, `MLFLOW_EXPERIMENT_NAME`.
The run directory keeps the identifier, by which a run that is resumed goes on there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from edge_ood.errors import InputError, MissingDependencyError
from edge_ood.files.output import atomic_output
from edge_ood.files.regular import read_regular
from edge_ood.training.loggers import Log, Logger, numbers_of
from edge_ood.training.run_directory import EpochReport, Run

_NAME = "mlflow"
_LONGEST_REASON = 300


class _MlflowRun:
    def __init__(self, identifier: str, last_epoch: int) -> None:
        self._identifier = identifier
        self._last_epoch = last_epoch

    def write(self, report: EpochReport) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415  # an extra
        from mlflow.entities import Metric  # noqa: PLC0415

        if report.epoch <= self._last_epoch:
            return
        now_ms = int(time.time() * 1_000)
        values = numbers_of(report).items()
        metrics = [Metric(name, value, now_ms, report.epoch) for name, value in values]
        with _one_line(f"epoch {report.epoch} is not in mlflow"):
            MlflowClient().log_batch(self._identifier, metrics=metrics)
        self._last_epoch = report.epoch

    def close(self, *, finished: bool) -> None:
        import mlflow  # noqa: PLC0415  # an extra

        with _one_line("mlflow does not hear of the end of the run"):
            mlflow.end_run("FINISHED" if finished else "KILLED")


def _check(earlier: Path | None) -> None:
    try:
        from mlflow import MlflowClient  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"--log {_NAME}", error.name or _NAME, _NAME) from error
    with _one_line("cannot log to mlflow"):
        MlflowClient().search_experiments(max_results=1)
        if earlier is not None and (identifier := _identifier(earlier)):
            MlflowClient().get_run(identifier)


def _begin(run: Run, first_epoch: int) -> Log:
    import mlflow  # noqa: PLC0415  # an extra

    identifier = _identifier(run.path)
    with _one_line("cannot log to mlflow"):
        # Nested, should the caller of `edge_ood.train` have a run open.
        found = mlflow.start_run(identifier or None, run_name=run.path.resolve().name, nested=True)
        if identifier:
            history = mlflow.MlflowClient().get_metric_history(identifier, "training_loss")
            return _MlflowRun(identifier, max((metric.step for metric in history), default=0))
        settings = run.config.settings
        mlflow.log_params({each.name: getattr(settings, each.name) for each in fields(settings)})
    (run.path / _NAME).mkdir(exist_ok=True)
    with atomic_output(_identifier_file(run.path)) as temporary:
        temporary.write_text(f"{found.info.run_id}\n", "ascii")
    return _MlflowRun(found.info.run_id, 0)


def _note(run: Run) -> str:
    import mlflow  # noqa: PLC0415  # an extra

    return f"epochs go to mlflow at {mlflow.get_tracking_uri()}, run {run.path.resolve().name!r}"


def _identifier_file(run: Path) -> Path:
    return run / _NAME / "run-id"


def _identifier(run: Path) -> str:
    """By which MLflow knows a run; nothing where it does not."""
    try:
        return read_regular(_identifier_file(run)).decode("utf-8", "replace").strip()
    except OSError:
        return ""


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # an extra

    try:
        yield
    except MlflowException as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise InputError(
            f"{what}: {reason}", hint="check MLFLOW_TRACKING_URI, or leave out --log mlflow"
        ) from error


LOGGER = Logger(_NAME, note=_note, check=_check, begin=_begin)
