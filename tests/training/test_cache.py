"""The cache of decoded images: reuse, damage, a kill while it is written, and two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_training import CPU, SETTINGS, SIDE, trained

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.training import cache as cache_module
from edge_ood.training import store
from edge_ood.training.cache import Cache, default_cache
from edge_ood.training.store import QUIET, Reading, Store, read_store, stored
from edge_ood.training.training_set import Folders

PREPROCESS = Preprocess(SIDE)


@pytest.fixture
def data(tiny_images: Path, tmp_path: Path) -> Path:
    """Images to change."""
    shutil.copytree(tiny_images / "train", tmp_path / "data")
    return tmp_path / "data"


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def read(data: Path, cache: Path | None, heard: list[str] | None = None) -> Store:
    """The images of a folder, from a cache if there is one."""
    notes = [] if heard is None else heard
    reading = Reading(cache and Cache(cache), on_note=notes.append)
    return read_store(files(data), PREPROCESS, data.parent, reading)


def entries(cache: Path) -> list[Path]:
    """All finished entries, and whatever else is there but for locks."""
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def refuse_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it an error to decode an image from now on."""

    def decode_stream(paths: Any, preprocess: Any) -> Any:
        assert [] == list(paths)
        return iter(())

    monkeypatch.setattr(store, "decode_stream", decode_stream)


def assert_same(expected: Store, found: Store) -> None:
    np.testing.assert_array_equal(expected.array, found.array)
    assert (expected.hashes, expected.broken) == (found.hashes, found.broken)


def test_a_later_run_decodes_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first says how much it keeps and where, the second that it uses it."""
    notes: list[str] = []
    expected, first = read(data, None), read(data, tmp_path / "cache", notes)
    refuse_to_decode(monkeypatch)

    second = read(data, tmp_path / "cache", notes)

    for found in (first, second):
        assert_same(expected, found)
        assert isinstance(found.array, np.memmap)
    (entry,) = entries(tmp_path / "cache")
    made, used = notes
    assert f"48 images, once: 0.0 MB in '{entry}'" in made
    assert f"using the decoded images in '{entry}'" == used


def test_an_entry_is_an_array_that_numpy_reads(data: Path, tmp_path: Path) -> None:
    """Anybody can look at it without this library, and no pickle is in it."""
    expected = read(data, tmp_path / "cache").array

    (entry,) = entries(tmp_path / "cache")
    np.testing.assert_array_equal(expected, np.load(entry / "pixels.npy", allow_pickle=False))


def test_changing_rows_changes_no_entry(data: Path, tmp_path: Path) -> None:
    """The array is this process' own, however it is written to."""
    found, untouched = read(data, tmp_path / "cache"), read(data, None)

    found.array[:] = 0

    assert_same(untouched, read(data, tmp_path / "cache"))


def test_a_moved_folder_is_known_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names within it, sizes and times count, not where it is."""
    expected = read(data, tmp_path / "cache")
    refuse_to_decode(monkeypatch)

    moved = shutil.move(data, tmp_path / "elsewhere")

    assert_same(expected, read(Path(moved), tmp_path / "cache"))


def add(data: Path) -> None:
    shutil.copy(data / "dark" / "00.png", data / "dark" / "new.png")


def replace_in_place(data: Path) -> None:
    path = data / "dark" / "00.png"
    path.write_bytes(path.read_bytes()[:-1] + b"1")  # of the same size


def rename(data: Path) -> None:
    (data / "dark" / "00.png").rename(data / "dark" / "24.png")


@pytest.mark.parametrize("change", [add, replace_in_place, rename])
def test_a_changed_folder_has_another_entry(
    data: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """A file more, another one or a new name are never taken for what was there."""
    with (data / "dark" / "00.png").open("ab") as file:
        file.write(b"0")  # after the end of the image, where it changes nothing but the hash
    read(data, tmp_path / "cache")

    change(data)

    assert_same(read(data, None), read(data, tmp_path / "cache"))
    assert 2 == len(entries(tmp_path / "cache"))


@pytest.mark.parametrize(
    "other", [{"size_px": 6}, {"crop": 0.8}, {"resize": "stretch"}, {"interpolation": "bicubic"}]
)
def test_other_rules_have_another_entry(data: Path, tmp_path: Path, other: dict[str, Any]) -> None:
    """Mean and deviation do not count: they come after decoding."""
    reading = replace(QUIET, cache=Cache(tmp_path / "cache"))
    for preprocess in (PREPROCESS, replace(PREPROCESS, mean=(0.1, 0.2, 0.3))):
        read_store(files(data), preprocess, tmp_path, reading)
    assert 1 == len(entries(tmp_path / "cache"))

    read_store(files(data), replace(PREPROCESS, **other), tmp_path, reading)

    assert 2 == len(entries(tmp_path / "cache"))


def cut(entry: Path) -> None:
    pixels = entry / "pixels.npy"
    pixels.write_bytes(pixels.read_bytes()[:-1])


def lengthen(entry: Path) -> None:
    with (entry / "pixels.npy").open("ab") as file:
        file.write(b"more")


def other_shape(entry: Path) -> None:
    np.save(entry / "pixels.npy", np.load(entry / "pixels.npy").reshape(48, 3, 8, 8))


def pickled(entry: Path) -> None:
    np.save(entry / "pixels.npy", np.array([print], object), allow_pickle=True)


def without_pixels(entry: Path) -> None:
    (entry / "pixels.npy").unlink()


def no_json(entry: Path) -> None:
    (entry / "index.json").write_text("{", "utf-8")


def fewer_hashes(entry: Path) -> None:
    document = json.loads((entry / "index.json").read_text("utf-8"))
    document["hashes"].pop()
    (entry / "index.json").write_text(json.dumps(document), "utf-8")


def no_hash(entry: Path) -> None:
    document = json.loads((entry / "index.json").read_text("utf-8"))
    document["hashes"][3] = "../../etc"
    (entry / "index.json").write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize(
    "damage",
    [cut, lengthen, other_shape, pickled, without_pixels, no_json, fewer_hashes, no_hash],
)
def test_a_damaged_entry_is_made_again(
    data: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Whatever a file says is checked; the images are the right ones, and the next run's, too."""
    expected, notes = read(data, None), list[str]()
    read(data, tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    damage(entry)

    found = read(data, tmp_path / "cache", notes)

    assert_same(expected, found)
    assert damage is without_pixels or "is damaged" in notes[0]
    notes.clear()
    assert_same(expected, read(data, tmp_path / "cache", notes))
    assert [f"using the decoded images in '{entry}'"] == notes


def test_broken_images_are_looked_at_again(data: Path, tmp_path: Path) -> None:
    """What could not be read for want of permission, which leaves no trace in a file's time."""
    broken = data / "dark" / "00.png"
    right = broken.read_bytes()
    broken.write_bytes(bytes(len(right)))
    os.utime(broken, (1, 1))
    row = files(data).index(broken)
    first, again = (read(data, tmp_path / "cache") for _ in range(2))
    assert {row} == set(first.broken)
    assert first.broken == again.broken
    broken.write_bytes(right)
    os.utime(broken, (1, 1))

    assert_same(read(data, None), read(data, tmp_path / "cache"))


def test_few_images_are_kept_in_memory(data: Path, tmp_path: Path) -> None:
    """Below its least size a cache is not even made."""
    cache = Cache(tmp_path / "cache", least_bytes=48 * 3 * SIDE**2 + 1)

    found = read_store(files(data), PREPROCESS, tmp_path, Reading(cache))

    assert not isinstance(found.array, np.memmap)
    assert not (tmp_path / "cache").exists()


def test_the_default_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG specification has it, which ignores a relative path."""
    monkeypatch.setenv("HOME", "/home/me")
    found = []
    for value in ("/big/cache", "relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        cache = default_cache()
        assert cache is not None
        found.append(str(cache.folder))

    assert ["/big/cache/edge-ood", *["/home/me/.cache/edge-ood"] * 2] == found


@pytest.mark.parametrize("is_chosen", [True, False])
def test_a_cache_that_cannot_be_made(data: Path, tmp_path: Path, is_chosen: bool) -> None:
    """One that was chosen is an error with the way out; the default is done without, and said."""
    (tmp_path / "file").touch()
    cache, notes = Cache(tmp_path / "file" / "cache", is_chosen=is_chosen), list[str]()
    reading = Reading(cache, on_note=notes.append)

    if is_chosen:
        with pytest.raises(DataError, match=r"cannot keep 0\.0 MB .*Not a directory") as caught:
            read_store(files(data), PREPROCESS, tmp_path, reading)
        assert "--cache none" in str(caught.value.hint)
    else:
        assert_same(read(data, None), read_store(files(data), PREPROCESS, tmp_path, reading))
        assert "not kept for later runs" in notes[-1]


def test_a_full_disk_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space is asked for before the first image is decoded."""
    refuse_to_decode(monkeypatch)

    def posix_fallocate(descriptor: int, offset: int, length: int) -> None:
        assert length > 48 * 3 * SIDE**2
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "posix_fallocate", posix_fallocate)

    with pytest.raises(DataError, match="No space left on device"):
        read(data, tmp_path / "cache")

    assert [] == entries(tmp_path / "cache")


def test_training_is_the_same_from_a_cache(data: Path, tmp_path: Path) -> None:
    """Bit by bit, written and read, with augmentation that needs larger images."""
    settings = replace(SETTINGS, augmentation=("resized-crop", "flip"))
    with_cache = replace(CPU, cache=Cache(tmp_path / "cache"))

    weights = [
        trained(Folders(data), settings, tmp_path / f"run{i}", launch)
        for i, launch in enumerate((CPU, with_cache, with_cache))
    ]

    assert 1 == len(set(weights))
    assert 1 == len(entries(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("preprocess", "names", "side"),
    [
        (Preprocess(224), ("resized-crop", "flip"), 256),
        (Preprocess(224), ("crop", "flip"), 224),
        (Preprocess(224, crop=0.875), ("resized-crop",), 256),
        (Preprocess(32), ("resized-crop",), 37),
        (Preprocess(4096), ("resized-crop",), 4096),
    ],
)
def test_images_are_kept_larger_where_parts_are_cut_out(
    preprocess: Preprocess, names: tuple[str, ...], side: int
) -> None:
    """By 256 over 224, if the preprocessing itself leaves no room."""
    assert side == stored(preprocess, names).resized_px


WRITER = """
import sys, time
from pathlib import Path
from edge_ood.images.preprocess import Preprocess
from edge_ood.training.cache import Cache
from edge_ood.training.store import Reading, read_store

data, cache, scratch = map(Path, sys.argv[1:4])
pause = float(sys.argv[4])

def count(images):
    print("decoded", images, flush=True)
    time.sleep(pause)

notes = []
found = read_store(
    sorted(data.rglob("*.png")), Preprocess(8), scratch,
    Reading(Cache(cache), on_note=lambda note: print(note, flush=True)), count,
)
print("sum", int(found.array.sum()), flush=True)
"""


def writer(data: Path, cache: Path, pause_s: float) -> "subprocess.Popen[str]":
    """A process that decodes into a cache, as slowly as is wanted."""
    arguments = [str(data), str(cache), str(data.parent), str(pause_s)]
    return subprocess.Popen(
        [sys.executable, "-Ic", WRITER, *arguments], stdout=subprocess.PIPE, text=True
    )


def wait_for(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it never said {word!r}")


def test_a_kill_leaves_nothing_half(data: Path, tmp_path: Path) -> None:
    """Killed while images are written, there is no entry; the next run makes it and tidies up."""
    process = writer(data, tmp_path / "cache", 0.05)
    wait_for(process, "decoded 1")
    wait_for(process, "decoded 1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (half,) = entries(tmp_path / "cache")
    assert half.name.endswith(".part")

    found = read(data, tmp_path / "cache")

    assert_same(read(data, None), found)
    (entry,) = entries(tmp_path / "cache")
    assert ["index.json", "pixels.npy"] == sorted(path.name for path in entry.iterdir())


def test_two_processes_decode_once(data: Path, tmp_path: Path) -> None:
    """The second waits for the first, says so, and both have the same images."""
    first = writer(data, tmp_path / "cache", 0.02)
    wait_for(first, "decoded 1")
    second = writer(data, tmp_path / "cache", 0.0)

    told = [process.communicate()[0] for process in (first, second)]

    total = f"sum {int(read(data, None).array.sum(dtype=np.int64))}\n"
    assert told[0].endswith(total)
    assert told[1].endswith(total)
    assert "waiting for it" in told[1]
    assert "decoding" not in told[1].split("waiting for it")[1]
    assert 1 == len(entries(tmp_path / "cache"))


def test_without_locks_two_processes_end_well(data: Path, tmp_path: Path) -> None:
    """Where nobody waits, as on some network file systems, both make the entry and one stays."""
    code = (
        f"import fcntl\ndef flock(*_): raise OSError(95, 'no locks')\nfcntl.flock = flock\n{WRITER}"
    )
    arguments = [str(data), str(tmp_path / "cache"), str(tmp_path), "0.01"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-Ic", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    told = [process.communicate()[0] for process in processes]

    assert [0, 0] == [process.returncode for process in processes]
    assert 1 == len({text.splitlines()[-1] for text in told})
    (entry,) = entries(tmp_path / "cache")
    assert_same(read(data, None), read(data, tmp_path / "cache"))
    assert ["index.json", "pixels.npy"] == sorted(path.name for path in entry.iterdir())


MEMORY = """
import sys, resource
from pathlib import Path
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.training.cache import Cache
from edge_ood.training.progress import Progress
from edge_ood.training.settings import Settings
from edge_ood.training.train import Launch, train
from edge_ood.training.training_set import Folders

data, cache, run, side = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])

def anonymous():
    fields = dict(line.split(":") for line in open("/proc/self/status"))
    return int(fields["RssAnon"].split()[0]) >> 10

most = 0
def look(*_):
    global most
    most = max(most, anonymous())

class Enough(Exception):
    pass

def stop(report):
    look()
    if report.step > 3:
        raise Enough

start = anonymous()
settings = Settings(Spec("wrn-10-1"), Spec("cross-entropy"), epochs=1, batch_size=32)
try:
    train(
        Folders(data), settings, Preprocess(side), run,
        launch=Launch("cpu", cache=Cache(Path(cache)) if cache else None),
        progress=Progress(on_image=look, on_step=stop),
    )
except Enough:
    pass
print(most - start)
"""


def memory_mb(data: Path, cache: str, run: Path, side: int) -> int:
    """How much memory that is not a file's a training takes until some steps in, in MiB."""
    arguments = [str(data), cache, str(run), str(side)]
    done = subprocess.run(
        [sys.executable, "-Ic", MEMORY, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
def test_memory_is_flat(tmp_path: Path) -> None:
    """20,000 images, 940 MiB once decoded, take hardly more memory than 2,000; without, they do."""
    side = 128
    payloads = []
    for level in range(200):
        pixels = np.random.default_rng(level).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        payloads.append((tmp_path / "x.png").read_bytes())
    for name, count in (("few", 2_000), ("many", 20_000)):
        for index in range(count):
            path = tmp_path / name / ("a", "b")[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Bytes after the end of a PNG make every file one of its own.
            path.write_bytes(payloads[index % 200] + str(index).encode())
    cache = str(tmp_path / "cache")

    few = memory_mb(tmp_path / "few", cache, tmp_path / "run1", side)
    many = memory_mb(tmp_path / "many", cache, tmp_path / "run2", side)
    again = memory_mb(tmp_path / "many", cache, tmp_path / "run3", side)
    without = memory_mb(tmp_path / "many", "", tmp_path / "run4", side)

    assert many < few + 150
    assert again < few + 150
    assert without > few + 700
