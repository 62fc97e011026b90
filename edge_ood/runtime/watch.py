"""A stream of images through an artefact: one row each, flagged files set aside, drift told.

images (files, frames, None when nothing comes) -> Scorer -> row -> table or pipe
                                                        `-> file set aside, windows of p-values
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from edge_ood.artifact.outputs import Row
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.drift import Window, Windows
from edge_ood.files.stored import AnyImage
from edge_ood.runtime.latency import Latencies
from edge_ood.runtime.scorer import Scorer

__all__ = ["LastMinute", "Watched", "calibration_images", "watched"]

_MINUTE_S = 60.0


@dataclass(frozen=True)
class Watched:
    """What became of one image.

    Attributes:
        row: As `edge-ood score` has it.
        seconds: From the image to its row.
        window: The window that it completed, if it did.
    """

    row: Row
    seconds: float
    window: Window | None = None

    @property
    def is_ood(self) -> bool:
        """Whether it was flagged."""
        return bool(self.row.values.get("is_ood"))


def watched(
    scorer: Scorer, images: Iterable[AnyImage | None], windows: Windows | None = None
) -> Iterator[Watched | None]:
    """Score images one by one as they come, and wait for none; None where none came.

    Args:
        scorer: With as many threads for one image as there are.
        images: Read one at a time: what waits is up to them.
        windows: Sees the p-values of all that could be scored.
    """
    for image in images:
        if image is None:
            yield None
            continue
        started = time.monotonic()
        (row,) = scorer.stream([image], batch_size=1, threads=1)
        window = None
        if windows is not None and row.values:
            values = row.values
            window = windows.add(
                float(values["pvalue"]), str(values["label"]), is_ood=bool(values["is_ood"])
            )
        yield Watched(row, time.monotonic() - started, window)


def calibration_images(scorer: Scorer) -> int:
    """How many stand behind the p-value that decides."""
    calibration = scorer.metadata.calibration
    return calibration.combined_n if scorer.metadata.primary == COMBINED else calibration.n


@dataclass
class LastMinute:
    """What the last sixty seconds were like."""

    clock: Callable[[], float] = time.monotonic
    _seen: deque[tuple[float, float, bool]] = field(default_factory=deque)

    def add(self, found: Watched) -> None:
        """Count one."""
        self._seen.append((self.clock(), found.seconds, found.is_ood))

    def line(self, dropped: int = 0) -> str:
        """One line: how many, how fast, how many of them flagged."""
        now = self.clock()
        while self._seen and now - self._seen[0][0] > _MINUTE_S:
            self._seen.popleft()
        if not self._seen:
            return f"nothing in the last minute; {dropped} dropped"
        latencies = Latencies()
        for _, seconds, _ in self._seen:
            latencies.add(seconds)
        flagged = sum(is_ood for *_, is_ood in self._seen)
        span = max(1.0, min(_MINUTE_S, now - self._seen[0][0]))
        return (
            f"{len(self._seen) / span:.1f}/s; last minute: {flagged} of {len(self._seen)} flagged,"
            f" p50 {1e3 * latencies.percentile(50):.0f} ms,"
            f" p95 {1e3 * latencies.percentile(95):.0f} ms; {dropped} dropped"
        )
