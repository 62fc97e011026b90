"""Event files for TensorBoard, in the folder `tensorboard` of a run: a scalar for each column."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.errors import MissingDependencyError
from edge_ood.training.loggers import Log, Logger, numbers_of
from edge_ood.training.run_directory import EpochReport, Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_NAME = "tensorboard"


class _Events:
    def __init__(self, writer: "SummaryWriter") -> None:
        self._writer = writer

    def write(self, report: EpochReport) -> None:
        for name, value in numbers_of(report).items():
            self._writer.add_scalar(name, value, report.epoch)
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        self._writer.close()


def _check(earlier: Path | None) -> None:
    try:
        import tensorboard  # noqa: F401, PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"--log {_NAME}", error.name or _NAME, _NAME) from error


def _begin(run: Run, first_epoch: int) -> Log:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # an extra

    # Readers drop what an interrupted process has written of this epoch and later ones.
    return _Events(SummaryWriter(run.path / _NAME, purge_step=first_epoch))


def _note(run: Run) -> str:
    return f"'tensorboard --logdir {shlex.quote(str(run.path / _NAME))}' shows the epochs"


LOGGER = Logger(_NAME, note=_note, check=_check, begin=_begin)
