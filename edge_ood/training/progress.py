"""What training tells its caller, on the way and at the end; without torch."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_ood.errors import ChanceLevelError
from edge_ood.files.document import plain_values
from edge_ood.files.plain_table import data_frame
from edge_ood.training.keeping import kept_epoch
from edge_ood.training.run_directory import EpochReport, Run
from edge_ood.training.settings import BEST

__all__ = ["SILENT", "Meter", "Progress", "StepReport", "TrainReport", "chance_warning", "conclude"]

_REPORT_EVERY_S = 0.25  # reading the loss waits for the device, so not at every step


@dataclass(frozen=True)
class StepReport:
    """Where training stands; `step` and `epoch` are counted from 1."""

    step: int
    total_steps: int
    epoch: int
    loss: float
    images_per_s: float


@dataclass(frozen=True)
class Progress:
    """What the caller wants to hear; the library itself prints nothing.

    Attributes:
        on_start: Once, with what is going to be trained on what, before the first step.
        on_summary: Once, after that: classes, images, network and training, a line each by name.
        on_image: Images decoded so far, and in total.
        on_step: At most four times a second.
        on_epoch: After each epoch's validation.
        on_note: A sentence that the user should read.
    """

    on_start: Callable[[Run], None] = lambda run: None
    on_summary: Callable[[Mapping[str, str]], None] = lambda lines: None
    on_image: Callable[[int, int], None] = lambda done, total: None
    on_step: Callable[[StepReport], None] = lambda report: None
    on_epoch: Callable[[EpochReport], None] = lambda report: None
    on_note: Callable[[str], None] = lambda note: None


SILENT = Progress()
"""For callers who want to hear nothing."""


@dataclass(frozen=True)
class TrainReport:
    """A finished run; `print` says how well it came out.

    Attributes:
        run: Its directory.
        epochs: One report each.
        validation_accuracy: Of the saved weights, in [0, 1]; NaN without validation images.
        chance_level: Accuracy of always naming the most frequent class of the validation images.
        kept_epoch: Whose weights were saved, counted from 1.
    """

    run: Run
    epochs: tuple[EpochReport, ...]
    validation_accuracy: float
    chance_level: float
    kept_epoch: int

    def __str__(self) -> str:
        accuracy = (
            ""
            if math.isnan(self.validation_accuracy)
            else f": validation accuracy {self.validation_accuracy:.1%}"
        )
        return f"wrote '{self.path}'{accuracy}{self._kept()}"

    def _kept(self) -> str:
        """Which epoch's weights they are, where that does not go without saying."""
        settings = self.run.config.settings
        if settings.keep == BEST:
            return f", the best of {len(self.epochs)} epochs, after epoch {self.kept_epoch}"
        if len(self.epochs) < settings.epochs:
            return f", after epoch {self.kept_epoch} of {settings.epochs}"
        return ""

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.run.path

    def to_dict(self) -> dict[str, Any]:
        """Where it is, how well it came out, and its epochs: plain values, None for NaN."""
        found: dict[str, Any] = plain_values(
            {
                "path": str(self.path),
                "classes": list(self.run.config.classes),
                "validation_accuracy": self.validation_accuracy,
                "chance_level": self.chance_level,
                "kept_epoch": self.kept_epoch,
                "epochs": [asdict(epoch) for epoch in self.epochs],
            }
        )
        return found

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each epoch: loss, accuracies, learning rate, speed.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        return data_frame([asdict(epoch) for epoch in self.epochs])


class Meter:
    """Speed since the last report, and when the next is due.

    Args:
        batch_size: Images per step.
        steps_per_epoch: Steps per epoch.
        total_steps: Steps of the whole run.
        step: Steps done before.
    """

    def __init__(self, batch_size: int, steps_per_epoch: int, total_steps: int, step: int) -> None:
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._total_steps = total_steps
        self._step, self._time_s = step, time.monotonic()

    def is_due(self) -> bool:
        """Whether a quarter of a second has passed."""
        return time.monotonic() - self._time_s > _REPORT_EVERY_S

    def report(self, step: int, loss: float) -> StepReport:
        """The report after `step` steps; the next interval begins."""
        now_s = time.monotonic()
        images_per_s = (step - self._step) * self._batch_size / (now_s - self._time_s)
        self._step, self._time_s = step, now_s
        epoch = (step - 1) // self._steps_per_epoch + 1
        return StepReport(step, self._total_steps, epoch, loss, images_per_s)


def conclude(run: Run, epochs: tuple[EpochReport, ...]) -> TrainReport:
    """The outcome of a finished run.

    Raises:
        ChanceLevelError: If it is no better than chance.
    """
    if warning := chance_warning(run, epochs):
        raise ChanceLevelError(
            f"{warning}; the weights are kept in '{run.path}'",
            hint="train for more --epochs, lower --lr, or check the labels",
        )
    kept = kept_epoch(run.config.settings, epochs)
    accuracy = epochs[kept - 1].validation_accuracy
    return TrainReport(run, epochs, accuracy, run.chance_level, kept)


def chance_warning(run: Run, epochs: Sequence[EpochReport]) -> str:
    """What to say about a finished run that has learnt nothing; empty where it has."""
    kept = kept_epoch(run.config.settings, epochs)
    accuracy = epochs[kept - 1].validation_accuracy if epochs else math.nan
    if not accuracy <= run.chance_level:
        return ""
    return (
        f"validation accuracy {accuracy:.1%} is no better than chance, the share of the"
        f" most frequent class ({run.chance_level:.1%})"
    )
