"""Loggers: who hears of the epochs of a run besides its own `metrics.csv`, one per file.

A file ends with `LOGGER = Logger(...)`. What a logger keeps in a run directory lies in a folder of
its name, and goes when the run is replaced.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_ood.errors import ChanceLevelError, EdgeOodError
from edge_ood.registry import Registry
from edge_ood.training.progress import Progress
from edge_ood.training.run_directory import EpochReport, Run

__all__ = ["LOGGERS", "Log", "Logger", "chosen_loggers", "numbers_of", "telling"]

LOGGERS = Registry("edge_ood.training.loggers", kind="logger", attribute="LOGGER", separator="-")


class Log(Protocol):
    """An open log of one run; an EdgeOodError of it becomes a note, and training goes on."""

    def write(self, report: EpochReport) -> None:
        """Add an epoch, unless it is there: a run that goes on may have to repeat its last one."""

    def close(self, *, finished: bool) -> None:
        """End the log of a run that has come to its end, or was interrupted."""


@dataclass(frozen=True)
class Logger:
    """A kind of log.

    Attributes:
        name: How the command line calls it.
        note: `note(run)`: where the epochs are found, as a sentence for the user.
        check: `check(earlier)`, before anything is trained: MissingDependencyError or InputError if
            nothing can be logged. `earlier` is the directory of a run that goes on, else None.
        begin: `begin(run, first_epoch)`, after the first epoch of this process, when the run
            directory is there; None where the run has all of it anyway.
    """

    name: str
    note: Callable[[Run], str]
    check: Callable[[Path | None], None] = lambda earlier: None
    begin: Callable[[Run, int], Log] | None = None


def chosen_loggers(names: Iterable[str], earlier: Path | None) -> tuple[Logger, ...]:
    """Loggers by name, each once, which are ready to log.

    Args:
        names: Of files of this package.
        earlier: The directory of a run that goes on, else None.

    Raises:
        UnknownNameError: If there is no such logger; the hint has the closest.
        MissingDependencyError: If what it writes with is not installed.
        InputError: If it cannot be reached, or does not have the run that goes on.
    """
    loggers: tuple[Logger, ...] = tuple(LOGGERS.get(name) for name in dict.fromkeys(names))
    for logger in loggers:
        logger.check(earlier)
    return loggers


def numbers_of(report: EpochReport) -> dict[str, float]:
    """What is logged of an epoch: the columns of `metrics.csv` that have a value."""
    values = {name: float(value) for name, value in asdict(report).items() if name != "epoch"}
    return {name: value for name, value in values.items() if math.isfinite(value)}


@contextlib.contextmanager
def telling(loggers: Sequence[Logger], progress: Progress) -> Iterator[Progress]:
    """Callbacks that tell the loggers what they tell the caller, as long as the block lasts."""
    teller = _Teller(loggers, progress)
    finished = False
    try:
        yield replace(progress, on_start=teller.start, on_epoch=teller.tell)
        finished = True
    except ChanceLevelError:  # the run is complete all the same
        finished = True
        raise
    finally:
        teller.close(finished=finished)


class _Teller:
    """Passes callbacks on, to loggers first."""

    def __init__(self, loggers: Sequence[Logger], progress: Progress) -> None:
        self._loggers = loggers
        self._progress = progress
        self._run: Run | None = None
        self._logs: dict[str, Log] = {}

    def start(self, run: Run) -> None:
        self._run = run
        for logger in self._loggers:
            self._progress.on_note(logger.note(run))
        self._progress.on_start(run)

    def tell(self, report: EpochReport) -> None:
        assert self._run is not None
        for logger in self._loggers:
            with self._noted():
                if logger.begin is not None:
                    if logger.name not in self._logs:
                        self._logs[logger.name] = logger.begin(self._run, report.epoch)
                    self._logs[logger.name].write(report)
        self._progress.on_epoch(report)

    def close(self, *, finished: bool) -> None:
        for log in self._logs.values():
            with self._noted():
                log.close(finished=finished)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """A log that fails costs nobody a trained network."""
        try:
            yield
        except EdgeOodError as error:
            self._progress.on_note(str(error))
