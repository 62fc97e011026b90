"""`edge-ood watch`: a folder, a video, a camera or a stream, one row for each image as it comes."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_ood.cli._options import ArtifactArgument, ProviderOption, ThreadsOption
from edge_ood.cli._say import say
from edge_ood.cli._watch_output import WatchOutput
from edge_ood.errors import InputError
from edge_ood.files.paths import shown_path

if TYPE_CHECKING:
    from edge_ood.runtime.watch import Watched

__all__ = ["watch"]

_LINE_S = 1.0


def watch(
    artifact: ArtifactArgument,
    source: Annotated[
        str,
        typer.Argument(
            help="A folder into which images fall; a video; a camera (0, /dev/video0); or the URL "
            "of a stream (rtsp://, http://)."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A .jsonl or .csv table, to which the same command goes on adding later: each "
            "file has one row, whenever it was scored. Else JSON Lines on stdout.",
        ),
    ] = None,
    copy_ood: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Copy flagged files there; never over another."),
    ] = None,
    move_ood: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Move flagged files there; never over another."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Score every so many-th frame.")] = 1,
    fps: Annotated[
        float, typer.Option(min=0.0, help="Score as many frames a second at most; 0: all.")
    ] = 0.0,
    latency: Annotated[
        float,
        typer.Option(
            min=0.0, help="Milliseconds that a frame of a camera may wait; older ones are dropped."
        ),
    ] = 200.0,
    settle: Annotated[
        float, typer.Option(min=0.0, help="Seconds for which a whole file has not changed.")
    ] = 0.5,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look for files: some network file systems do not tell.")
    ] = False,
    window: Annotated[
        int, typer.Option(min=0, help="Images of which drift is tested together; 0: no test.")
    ] = 200,
    level: Annotated[
        float, typer.Option(help="Share of windows that raise an alarm though nothing changed.")
    ] = 0.001,
    threads: ThreadsOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Score images as they come, from a folder, camera or video.

    It ends with Ctrl-C or SIGTERM, or with the video. A file gets a row when it is whole, once. A
    camera is never queued: frames that nobody has time for are dropped and counted. Windows of
    images are tested for drift; an alarm is one line, and one JSON record on stdout or in
    OUTPUT.drift.jsonl.

    Example: edge-ood watch exported/oe.onnx incoming -o rows.jsonl --move-ood odd

    Example: edge-ood watch exported/oe.onnx rtsp://camera/stream --fps 5
    """
    from edge_ood.calibration.drift import Windows
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.runtime.watch import calibration_images, watched

    if copy_ood and move_ood:
        raise typer.BadParameter("--copy-ood and --move-ood: one of them")
    scorer = Scorer(artifact, provider=provider, threads=threads)
    windows = Windows(window, level, calibration_images(scorer)) if window else None
    target = WatchOutput(output, scorer, source)
    aside = _Aside(source, copy_ood or move_ood, move=move_ood is not None)
    stop = threading.Event()
    frames = _Frames(source, every, fps, latency / 1e3)
    with target.opened(), _ended_by_signals(stop):
        live = _Live(windows, frames)
        aside.finish(target.flagged_files())
        images = frames.images(stop, settle, poll, target, aside)
        for found in watched(scorer, takewhile(lambda _: not stop.is_set(), images), windows):
            if found is None:
                target.save()
            else:
                target.write(found)
                aside.take(found)
            live.show(found)
        stop.set()
        live.end(target)


@contextlib.contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set an event, which is looked at between images; twice, interrupt.

    An exception would be lost where Python hands it to a destructor, and the watch go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Aside:
    """Flagged files go to another folder, if they are files and there is one."""

    def __init__(self, source: str, folder: Path | None, *, move: bool) -> None:
        self.folder, self._move = folder, move
        self._root = Path(source)
        if folder is not None and not self._root.is_dir():
            option = "--move-ood" if move else "--copy-ood"
            raise InputError(
                f"{option} is for a folder of files, and '{source}' is none", hint=f"drop {option}"
            )

    def take(self, found: "Watched") -> None:
        if found.is_ood:
            self._set_aside(Path(str(found.row.path)))

    def finish(self, files: Iterator[Path]) -> None:
        """What was flagged, and a killed run had no time for."""
        if self.folder is not None and self._move:
            for path in files:
                self._set_aside(path)

    def _set_aside(self, path: Path) -> None:
        from edge_ood.runtime.set_aside import set_aside

        if self.folder is not None:
            set_aside(path, self._root, self.folder, move=self._move)


class _Frames:
    """Images of a source, whatever kind it is."""

    def __init__(self, source: str, every: int, fps: float, latency_s: float) -> None:
        self._source, self._every, self._fps, self._latency_s = source, every, fps, latency_s
        self._live: Any = None

    @property
    def dropped(self) -> int:
        """Frames that nobody had time for."""
        return int(self._live.dropped) if self._live is not None else 0

    def images(
        self, stop: threading.Event, settle: float, poll: bool, target: WatchOutput, aside: _Aside
    ) -> Iterator[Any]:
        from edge_ood.runtime.live_frames import LiveFrames, camera_of, video_frames
        from edge_ood.runtime.watched_folder import WatchedFolder

        path = Path(self._source)
        if path.is_dir():
            skip = tuple(filter(None, (aside.folder,)))
            folder = WatchedFolder(
                path, settle_s=settle, polling=poll, known=target.known, skip=skip
            )
            return folder.files(stop)
        if camera_of(self._source) is None and "://" not in self._source:
            if not path.exists():
                raise InputError(f"there is no '{self._source}'", hint="a folder, video or camera")
            frames = video_frames(path, every=self._every, fps=self._fps)
            return (frame for frame in frames if shown_path(frame) not in target.known)
        self._live = LiveFrames(
            self._source,
            latency_s=self._latency_s,
            every=self._every,
            fps=self._fps,
            on_note=lambda note: say(note, err=True),
        )
        live: Iterator[Any] = self._live.frames(stop)
        return live


class _Live:
    """The line on a terminal, and alarms."""

    def __init__(self, windows: Any, frames: _Frames) -> None:
        from edge_ood.runtime.watch import LastMinute

        self._windows, self._frames = windows, frames
        self._minute = LastMinute()
        self._shown_s, self._began_s, self._images = 0.0, time.monotonic(), 0
        self._is_terminal = sys.stderr.isatty()

    def show(self, found: "Watched | None") -> None:
        if found is not None:
            self._minute.add(found)
            self._images += 1
            if found.window is not None and found.window.is_alarm:
                self._clear()
                say(f"drift: {found.window}; {self._expected()}", err=True)
        now = time.monotonic()
        if self._is_terminal and now - self._shown_s > _LINE_S:
            self._shown_s = now
            sys.stderr.write(f"\r\x1b[K{self._minute.line(self._frames.dropped)}")
            sys.stderr.flush()

    def end(self, target: WatchOutput) -> None:
        self._clear()
        dropped = f", {self._frames.dropped} dropped" if self._frames.dropped else ""
        say(
            f"{target.rows - target.earlier} images, {target.flagged} flagged as"
            f" out-of-distribution{dropped}; {target.rows} rows in all",
            err=True,
        )

    def _expected(self) -> str:
        seconds = max(1.0, time.monotonic() - self._began_s)
        rate = self._windows.false_alarms_a_day(self._images / seconds)
        return f"at this rate {rate:.2g} false alarms a day are expected"

    def _clear(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
