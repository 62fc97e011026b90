"""What a person sees of a training run on stderr: a progress bar, or a line an epoch in a log."""

import math
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edge_ood.cli._say import say
from edge_ood.files.text import printable
from edge_ood.training.progress import Progress as Callbacks
from edge_ood.training.progress import StepReport
from edge_ood.training.run_directory import EpochReport, Run

__all__ = ["TrainingDisplay"]


class TrainingDisplay:
    """Loss, accuracy, images/s and remaining time of a run."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._epochs = 0
        self._accuracy = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._decoding = self._bar.add_task("decoding", total=None, numbers="")
        self._training = self._bar.add_task("training", total=None, numbers="", visible=False)
        self.callbacks = Callbacks(
            on_start=self._show_start,
            on_image=self._show_image,
            on_step=self._show_step,
            on_epoch=self._show_epoch,
            on_note=self._show_note,
        )

    def __enter__(self) -> "TrainingDisplay":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def _show_start(self, run: Run) -> None:
        self._epochs = run.config.settings.epochs

    def _show_image(self, done: int, total: int) -> None:
        self._bar.update(self._decoding, completed=done, total=total)

    def _show_step(self, report: StepReport) -> None:
        self._bar.update(
            self._training,
            completed=report.step,
            total=report.total_steps,
            description=f"epoch {report.epoch}/{self._epochs}",
            numbers=f"loss {report.loss:.3f}{self._accuracy}  {report.images_per_s:,.0f} images/s",
            visible=True,
        )

    def _show_epoch(self, report: EpochReport) -> None:
        self._accuracy = f"  accuracy {report.validation_accuracy:.1%}"
        if not math.isnan(report.second_head_accuracy):
            heads = (report.first_head_accuracy, report.second_head_accuracy)
            self._accuracy += f" (heads {heads[0]:.1%}, {heads[1]:.1%})"
        if self._bar.disable:
            left_s = report.seconds * (self._epochs - report.epoch)
            say(
                f"epoch {report.epoch}/{self._epochs}  loss {report.training_loss:.3f}"
                f"{self._accuracy}  {report.images_per_s:,.0f} images/s"
                f"  {timedelta(seconds=round(left_s))} left",
                err=True,
            )

    def _show_note(self, note: str) -> None:
        shown = f"note: {printable(note)}"
        self._bar.console.print(shown, markup=False, highlight=False, soft_wrap=True)
