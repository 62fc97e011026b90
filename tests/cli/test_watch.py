"""`edge-ood watch` and `drift`: files as they come, videos, signals, and later runs."""

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.images.folders import find_images
from edge_ood.runtime.live_frames import LiveFrames, video_frames

av = pytest.importorskip("av")
pytest.importorskip("watchfiles")

EDGE_OOD = "from edge_ood.cli import main; main()"
LONGEST_S = 60


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


class Watching:
    """`edge-ood watch` in a process of its own."""

    started: ClassVar[list["subprocess.Popen[str]"]] = []

    def __init__(self, artefact: str, *arguments: object) -> None:
        command = [sys.executable, "-c", EDGE_OOD, "watch", artefact, *map(str, arguments)]
        self.process = subprocess.Popen(
            [*command, "--settle", "0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.started.append(self.process)

    def rows(self, count: int) -> list[dict[str, Any]]:
        """So many rows from its pipe."""
        assert self.process.stdout is not None
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def end(self, sent: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and what it said."""
        self.process.send_signal(sent)
        _, stderr = self.process.communicate(timeout=LONGEST_S)
        return self.process.returncode, stderr


def until(holds: Any) -> None:
    """Wait for something, not for ever."""
    limit = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture
def incoming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with an empty folder `in`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    yield tmp_path / "in"
    for process in Watching.started:  # what a failed test left at work
        process.kill()
        process.communicate()
    Watching.started.clear()


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_files_have_rows_as_they_come(artefact: str, colours: Path, incoming: Path) -> None:
    """Those that are there, one that is renamed into the folder, one that is written slowly."""
    first, second, third = find_images(colours / "test")[:3]
    shutil.copy(first, incoming / "a.png")
    watching = Watching(artefact, "in")
    (there,) = watching.rows(1)
    shutil.copy(second, "elsewhere.png")
    Path("elsewhere.png").rename(incoming / "b.png")
    (renamed,) = watching.rows(1)
    content = third.read_bytes()
    with (incoming / "c.png").open("wb") as slowly:
        for part in (content[:40], content[40:]):
            slowly.write(part)
            slowly.flush()
            time.sleep(0.1)  # less than it must not change for
        (incoming / ".hidden.png").write_bytes(content)
        (incoming / "notes.txt").write_text("no image")
    (written,) = watching.rows(1)

    code, stderr = watching.end()

    assert ["./in/a.png", "./in/b.png", "./in/c.png"] == [
        row["path"] for row in (there, renamed, written)
    ]
    assert {"ok"} == {row["status"] for row in (there, renamed, written)}
    assert 0 == code
    assert "3 images" in stderr


def test_each_file_has_one_row_across_runs(artefact: str, colours: Path, incoming: Path) -> None:
    """Killed amid its work and started again, the table has every file once, in whole lines."""
    images = find_images(colours / "test")[:12]
    for number, image in enumerate(images[:6]):
        shutil.copy(image, incoming / f"{number}.png")
    watching = Watching(artefact, "in", "-o", "rows.jsonl")
    until(lambda: Path("rows.jsonl").exists() and len(Path("rows.jsonl").read_bytes()) > 10)
    watching.process.kill()
    watching.process.communicate()
    for number, image in enumerate(images[6:], start=6):
        shutil.copy(image, incoming / f"{number}.png")

    again = Watching(artefact, "in", "-o", "rows.jsonl")
    time.sleep(0.1)
    until(lambda: len({row["path"] for row in whole_rows("rows.jsonl")}) == len(images))
    code, stderr = again.end(signal.SIGINT)

    assert 0 == code, stderr
    assert sorted(f"./in/{n}.png" for n in range(12)) == sorted(
        row["path"] for row in lines("rows.jsonl")
    )
    assert "12 rows in all" in stderr


def whole_rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().split("\n")[:-1]]


def test_flagged_files_are_moved(artefact: str, colours: Path, incoming: Path) -> None:
    """What was flagged before a kill and still lies there is moved by the next run."""
    Image.new("RGB", (16, 16), (9, 9, 9)).save(incoming / "grey.png")
    shutil.copy(find_images(colours / "test")[0], incoming / "known.png")
    first = Watching(artefact, "in", "-o", "rows.jsonl")
    until(lambda: Path("rows.jsonl").exists() and len(whole_rows("rows.jsonl")) == 2)
    assert 0 == first.end()[0]
    flagged = {row["path"] for row in lines("rows.jsonl") if row["is_ood"]}
    assert "./in/grey.png" in flagged

    second = Watching(artefact, "in", "-o", "rows.jsonl", "--move-ood", "odd")
    until(lambda: Path("odd/grey.png").exists() and not (incoming / "grey.png").exists())
    code, stderr = second.end()

    assert 0 == code, stderr
    assert {path.name for path in Path("odd").iterdir()} == {Path(name).name for name in flagged}
    assert {path.name for path in incoming.iterdir()} == (
        {"grey.png", "known.png"} - {Path(name).name for name in flagged}
    )


def write_video(path: Path, levels: list[int]) -> None:
    """Frames of one grey level each, ten a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def clip(incoming: Path) -> Path:
    write_video(Path("clip.mp4"), [20 + 10 * number for number in range(20)])
    return Path("clip.mp4")


def test_score_takes_videos(artefact: str, clip: Path) -> None:
    """A row for each frame, with its number and its time; other files as always."""
    result = run("score", artefact, "clip.mp4", "-o", "frames.csv")

    assert 0 == result.exit_code, result.output
    with Path("frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [f"./clip.mp4#{n}@{n / 10:.3f}s" for n in range(20)] == [row["path"] for row in rows]
    assert {"ok"} == {row["status"] for row in rows}


def test_frames_are_what_was_filmed(clip: Path) -> None:
    """Grey levels within what the codec loses."""
    frames = [Image.open(io.BytesIO(frame.read())) for frame in video_frames(clip)]

    levels = [float(np.asarray(frame).mean()) for frame in frames]
    np.testing.assert_allclose(levels, [20 + 10 * n for n in range(20)], atol=4)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [({"every": 5}, [0, 5, 10, 15]), ({"fps": 2.5}, [0, 4, 8, 12, 16]), ({"fps": 99.0}, range(20))],
)
def test_some_frames_are_enough(clip: Path, options: Any, numbers: Any) -> None:
    """Every so many-th, or so many a second."""
    names = [str(frame) for frame in video_frames(clip, **options)]
    found = [int(name.rpartition("#")[2].partition("@")[0]) for name in names]

    assert list(numbers) == found


def test_a_cut_video_is_read_as_far_as_it_goes(artefact: str, incoming: Path) -> None:
    """What cannot be opened is one row that says so."""
    Path("noise.mp4").write_bytes(b"no video" * 100)

    result = run("score", artefact, "noise.mp4", "-o", "out.csv")

    assert 1 == result.exit_code  # not one image
    with Path("out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert "unreadable" == row["status"]
    assert "noise.mp4" in row["error"]


def test_watch_goes_on_with_a_video(artefact: str, clip: Path) -> None:
    """Watched twice with one table, each frame has one row."""
    first = run("watch", artefact, "clip.mp4", "-o", "rows.jsonl", "--every", 2)
    second = run("watch", artefact, "clip.mp4", "-o", "rows.jsonl")

    assert 0 == first.exit_code == second.exit_code, first.output + second.output
    assert 20 == len(lines("rows.jsonl")) == len({row["path"] for row in lines("rows.jsonl")})
    assert "10 images" in second.stderr


def test_a_stream_is_never_queued(clip: Path) -> None:
    """A consumer that is slow gets the newest frames; every other one is counted as dropped."""
    live = LiveFrames(clip.absolute().as_uri(), latency_s=0.05)
    taken = []
    for frame in live.frames(threading.Event()):
        if frame is not None:
            taken.append(str(frame))
            time.sleep(0.03)

    assert 1 <= len(taken) < 20
    assert 20 == len(taken) + live.dropped
    assert taken == sorted(taken, key=lambda name: int(name.rpartition("#")[2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no 'none'"),
        (["/dev/video77"], "cannot open '/dev/video77'"),
        (["77"], "cannot open '77'"),
        (["in", "--window", "1"], "a window of 1 images"),
        (["in", "--level", "2"], "a level of 2.0"),
        (["in", "-o", "x.parquet"], "a Parquet table is not added to"),
        (["clip.mp4", "--move-ood", "odd"], "--move-ood is for a folder"),
    ],
)
def test_slips_are_named(artefact: str, clip: Path, arguments: list[str], message: str) -> None:
    """One line with a hint, and no trace."""
    result = run("watch", artefact, *arguments)

    assert 1 == result.exit_code, result.output
    assert message in result.stderr
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]


def test_another_artefact_does_not_go_on_with_a_table(
    artefact: str, clip: Path, tmp_path: Path
) -> None:
    """Its rows would stand beside those of the first."""
    assert 0 == run("watch", artefact, "clip.mp4", "-o", "rows.jsonl").exit_code
    other = tmp_path / "other.onnx"
    shutil.copy(artefact, other)
    assert 0 == run("calibrate", other, "--threshold", "energy=1.5").exit_code

    result = run("watch", other, "clip.mp4", "-o", "rows.jsonl")

    assert 1 == result.exit_code
    assert "the artefact was" in result.stderr


@pytest.fixture
def drifting(artefact: str, colours: Path, incoming: Path) -> Path:
    """A score table of 40 ID images and 40 grey ones."""
    for number, image in enumerate(find_images(colours / "calibration")[:40]):
        shutil.copy(image, incoming / f"a{number:03}.png")
    for number in range(40):
        Image.new("RGB", (16, 16), (number, 9, 9)).save(incoming / f"b{number:03}.png")
    assert 0 == run("score", artefact, "in", "-o", "rows.csv").exit_code
    return Path("rows.csv")


def test_drift_of_a_table(artefact: str, drifting: Path) -> None:
    """Alarms where the images changed, and a figure."""
    result = run("drift", artefact, drifting, "--window", 20, "--figure", "drift.png")
    records = run("drift", artefact, drifting, "--window", 20, "--json")

    assert 0 == result.exit_code == records.exit_code, result.output
    windows = [json.loads(line) for line in records.stdout.splitlines()]
    assert [0, 20, 40, 60] == [window["first"] for window in windows]
    assert ["drift", "drift"] == [window["event"] for window in windows[2:]]
    assert "images 40 to 59" in result.stdout
    with Image.open("drift.png") as figure:
        assert figure.width > 500


def test_alarms_are_on_record(artefact: str, drifting: Path) -> None:
    """One JSON line each beside the table, and in a pipe between the rows."""
    shutil.rmtree("in")
    write_video(Path("odd.mp4"), [5] * 40)

    piped = run("watch", artefact, "odd.mp4", "--window", 20)
    kept = run("watch", artefact, "odd.mp4", "--window", 20, "-o", "rows.jsonl")

    events = [row for row in map(json.loads, piped.stdout.splitlines()) if "event" in row]
    assert 0 == piped.exit_code == kept.exit_code
    assert events == lines("rows.jsonl.drift.jsonl")
    assert ["drift", "drift"] == [event["event"] for event in events]
    assert 2 == kept.stderr.count("drift: images")
    assert "false alarms a day are expected" in kept.stderr


def test_drift_wants_the_artefact_of_the_table(
    artefact: str, drifting: Path, tmp_path: Path
) -> None:
    """P-values mean nothing without the calibration behind them."""
    other = tmp_path / "other.onnx"
    shutil.copy(artefact, other)
    assert 0 == run("calibrate", other, "--threshold", "energy=1.5").exit_code

    result = run("drift", other, drifting)

    assert 1 == result.exit_code
    assert "was made by the artefact" in result.stderr
