"""Frames of a camera, a stream or a video, as they come.

A video waits for whoever scores it. A camera does not: its frames are taken by a thread of their
own, only the newest is kept, and one that has waited longer than the budget is dropped. What is
dropped is counted.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_ood.errors import DataError
from edge_ood.files.regular import open_regular
from edge_ood.files.stored import StoredImage
from edge_ood.sources.video import frame_image, frame_name, pyav

__all__ = ["LiveFrames", "camera_of", "video_frames"]

_OPEN_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_IDLE_S = 0.2
_ROUNDING_S = 1e-6


def camera_of(source: str) -> str | None:
    """The device of a camera that is called by number or device; None for anything else."""
    if source.isdecimal():
        return f"/dev/video{source}"
    return source if source.startswith("/dev/") else None


def video_frames(path: Path, *, every: int = 1, fps: float = 0.0) -> Iterator[StoredImage]:
    """Some frames of a video file, in order.

    Args:
        path: The file.
        every: Take every so many-th.
        fps: Take as many a second at most; 0 for all.

    Raises:
        DataError: If it cannot be read.
    """
    chosen = _Chosen(every, fps)
    try:
        with open_regular(path) as file, pyav().open(file) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if chosen.takes(number, frame.time):
                    yield frame_image(frame, frame_name(str(path), number, frame.time), str(path))
    except (pyav().FFmpegError, IndexError, OSError) as error:
        raise DataError(f"cannot read '{path}': {error}", hint="play it") from error


class LiveFrames:
    """The newest frame of a camera or stream.

    Args:
        source: A camera by number or device, or a URL.
        latency_s: Longest time that a frame may have waited when it is taken.
        every: Take every so many-th frame.
        fps: Take as many a second at most; 0 for all.
        on_note: Called with what went wrong, when the source is opened again.

    Attributes:
        dropped: Frames that nobody had time for.
    """

    def __init__(
        self,
        source: str,
        *,
        latency_s: float = 0.2,
        every: int = 1,
        fps: float = 0.0,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        self.source, self.dropped = source, 0
        self._latency_s, self._chosen, self._on_note = latency_s, _Chosen(every, fps), on_note
        self._newest: tuple[float, StoredImage] | None = None
        self._changed = threading.Condition()
        self._failure: DataError | None = None
        self._ended = False

    def frames(self, stop: threading.Event) -> Iterator[StoredImage | None]:
        """Frames until the event is set or a stream ends; None where none came for a while.

        Raises:
            DataError: If the source cannot be opened for the first time.
        """
        reader = threading.Thread(target=self._read, args=(stop,), daemon=True)
        reader.start()
        while not stop.is_set():
            with self._changed:
                self._changed.wait_for(self._has_news, _IDLE_S)
                taken, self._newest = self._newest, None
                failure, ended = self._failure, self._ended
            if taken is None:
                if failure is not None:
                    raise failure
                if ended:
                    return
                yield None
            elif time.monotonic() - taken[0] > self._latency_s:
                self.dropped += 1
            else:
                yield taken[1]

    def _has_news(self) -> bool:
        return self._newest is not None or self._failure is not None or self._ended

    def _read(self, stop: threading.Event) -> None:
        """Open the source, and again when it breaks off."""
        wait_s, number = _FIRST_WAIT_S, 0
        while not stop.is_set():
            try:
                for frame in _opened(self.source):
                    if stop.is_set():
                        return
                    if self._chosen.takes(number, time.monotonic()):
                        self._put(frame_image(frame, f"{self.source}#{number}", self.source))
                    number, wait_s = number + 1, _FIRST_WAIT_S
                reason = "it ended"
            except (pyav().FFmpegError, IndexError, OSError) as error:
                reason = " ".join(str(error).split())
            if not number:
                hint = "check that it is there and that nobody else has it"
                self._end(DataError(f"cannot open '{self.source}': {reason}", hint=hint))
                return
            if reason == "it ended" and camera_of(self.source) is None:
                self._end(None)
                return
            self._on_note(f"'{self.source}' broke off ({reason}); trying again in {wait_s:g} s")
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _put(self, image: StoredImage) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = (time.monotonic(), image)
            self._changed.notify()

    def _end(self, failure: DataError | None) -> None:
        with self._changed:
            self._failure, self._ended = failure, failure is None
            self._changed.notify()


class _Chosen:
    """Which frames of a source are wanted."""

    def __init__(self, every: int, fps: float) -> None:
        self._every, self._least_s = every, 1 / fps if fps else 0.0
        self._next_s = 0.0
        self._began = False

    def takes(self, number: int, seconds: float | None) -> bool:
        """Whether the frame of a number, shown at a time, is one of them."""
        if number % self._every:
            return False
        if not self._least_s or seconds is None:
            return True
        if self._began and seconds < self._next_s - _ROUNDING_S:
            return False
        late = not self._began or seconds - self._next_s > self._least_s
        self._next_s = (seconds if late else self._next_s) + self._least_s
        self._began = True
        return True


def _opened(source: str) -> Iterator[Any]:
    device = camera_of(source)
    options: dict[str, Any] = {"format": "v4l2"} if device else {}
    with pyav().open(device or source, timeout=_OPEN_S, **options) as container:
        yield from container.decode(video=0)
