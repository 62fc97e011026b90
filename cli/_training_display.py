"""What a person sees of a training run on stderr: a progress bar, or a line an epoch in a log."""

import math
import shutil
import textwrap
import time
from collections.abc import Mapping
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


_FIRST_SIGN_S = 8.0  # a log that says nothing for longer looks as if nothing happened


class TrainingDisplay:
    """Loss, accuracy, images/s and remaining time of a run.

    A log has a line an epoch, and signs of life on the way: the first after 8 seconds without a
    line, each later one after twice as long a time.
    """

    def __init__(self) -> None:
        self._wait_s = _FIRST_SIGN_S
        self._spoke_s = time.monotonic()
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
            on_summary=self._show_summary,
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

    def _show_summary(self, lines: Mapping[str, str]) -> None:
        columns = shutil.get_terminal_size().columns
        width = max(map(len, lines))
        for name, text in lines.items():
            shown = printable(f"{name:{width}}  {text}")
            hanging = " " * (width + 2)
            self._print("\n".join(textwrap.wrap(shown, columns, subsequent_indent=hanging)))

    def _show_image(self, done: int, total: int) -> None:
        self._show_sign(f"decoded {done:,} of {total:,} images")
        self._bar.update(self._decoding, completed=done, total=total)

    def _show_step(self, report: StepReport) -> None:
        self._show_sign(
            f"step {report.step:,} of {report.total_steps:,}  loss {report.loss:.3f}  "
            f"{report.images_per_s:,.0f} images/s"
        )
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
            self._spoke_s = time.monotonic()

    def _show_sign(self, sign: str) -> None:
        if self._bar.disable and time.monotonic() - self._spoke_s > self._wait_s:
            say(sign, err=True)
            self._spoke_s = time.monotonic()
            self._wait_s *= 2

    def _show_note(self, note: str) -> None:
        self._print(f"note: {printable(note)}")

    def _print(self, shown: str) -> None:
        self._bar.console.print(shown, markup=False, highlight=False, soft_wrap=True)
        self._spoke_s = time.monotonic()
