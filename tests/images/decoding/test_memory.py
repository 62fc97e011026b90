"""One budget of memory for all threads, and what this process may have at all."""

import io
import resource
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from edge_ood.errors import DataError
from edge_ood.images.decoding.memory import MemoryBudget, available_memory, decoding_bytes
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_stream


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def needed(payload: bytes) -> int:
    """What is reserved for a file at full scale."""
    with Image.open(io.BytesIO(payload)) as image:
        return decoding_bytes(image, image.width * image.height)


def test_threads_never_hold_more_than_the_budget() -> None:
    """Ten threads want four of ten bytes each, again and again: two get them at a time."""
    budget = MemoryBudget(lambda: 10)
    lock, held, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal held, most
        for _ in range(20):
            with budget.reserved(4):
                with lock:
                    held += 4
                    most = max(most, held)
                time.sleep(0.0005)
                with lock:
                    held -= 4

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert (8, 0) == (most, held)


def test_what_never_fits_is_refused_at_once() -> None:
    """It says how much it is; all of the budget is still there afterwards, after an error, too."""
    budget, done = MemoryBudget(lambda: 3 << 20), []

    def work() -> None:
        with (
            pytest.raises(MemoryError, match="takes 5 MiB of memory, at most 3 MiB are used"),
            budget.reserved(5 << 20),
        ):
            pass
        with pytest.raises(KeyError), budget.reserved(3 << 20):
            raise KeyError
        with budget.reserved(3 << 20):
            done.append(True)

    thread = threading.Thread(
        target=work, daemon=True
    )  # what waits for ever must not keep the test
    thread.start()
    thread.join(10)

    assert [True] == done


@pytest.mark.parametrize(
    ("mode", "image_format", "options", "each"),
    [
        ("RGB", "PNG", {}, 12),
        ("L", "JPEG", {}, 12),
        ("RGB", "JPEG", {"progressive": True}, 12 + 6),
        ("RGBA", "PNG", {}, 20),
        ("P", "PNG", {"transparency": 0}, 20),
        ("RGB", "WEBP", {}, 20),
        ("I;16", "PNG", {}, 24),
        ("F", "TIFF", {}, 24),
    ],
)
def test_memory_goes_with_the_pixels(
    mode: str, image_format: str, options: dict[str, object], each: int
) -> None:
    """So many bytes each as were measured, over the size of the file, for these kinds."""
    payload = encoded(Image.new(mode, (100, 50)), image_format, **options)

    assert 100 * 50 * each == needed(payload)


def test_a_reduced_scale_takes_less() -> None:
    """But the coefficients of a progressive JPEG are there at full scale."""
    payload = encoded(Image.new("RGB", (800, 800)), "JPEG", progressive=True)
    with Image.open(io.BytesIO(payload)) as image:
        image.draft("RGB", (100, 100))

        assert 100 * 100 * 12 + 800 * 800 * 6 == decoding_bytes(image, 800 * 800)


def test_an_image_beyond_the_budget_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are decoded, those that have to wait for one another, too, and all stay in order."""
    colours = [(level, 0, 0) for level in range(0, 200, 10)]
    for index, colour in enumerate(colours):
        side = 80 if index == 7 else 40
        Image.new("RGB", (side, side), colour).save(tmp_path / f"{index:02}.png")
    most = 40 * 40 * 12
    monkeypatch.setattr("edge_ood.images.decoding.open_image.PIXELS", MemoryBudget(lambda: most))
    monkeypatch.setattr("edge_ood.images.decoding.image_file.FILES", MemoryBudget(lambda: 300))

    rows = list(decode_stream(sorted(tmp_path.iterdir()), Preprocess(4), threads=8))

    reds = [None if isinstance(row, DataError) else row.pixels[0, 0, 0] for row in rows]
    assert [None if i == 7 else colour[0] for i, colour in enumerate(colours)] == reds
    assert isinstance(rows[7], DataError)
    assert "too-large" == rows[7].status


def test_a_second_try_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind the pixels fails once their memory is taken; it is given back before."""
    text = b"zTXtprompt\0\0" + zlib.compress(bytes(2 << 20))
    chunk = (len(text) - 4).to_bytes(4) + text + zlib.crc32(text).to_bytes(4)
    plain = encoded(Image.new("RGB", (9, 9), "red"))
    payload = plain[:-12] + chunk + plain[-12:]
    budget = MemoryBudget(lambda: needed(plain))
    monkeypatch.setattr("edge_ood.images.decoding.open_image.PIXELS", budget)
    found = []

    def work() -> None:
        found.append(Preprocess(1).decode(payload).tolist())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)

    assert [[[[255, 0, 0]]]] == found


def test_a_decoder_without_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own decoders report it as damage."""

    def fail(_: Image.Image) -> None:
        raise OSError("out of memory when reading image file")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)

    with pytest.raises(DataError, match="'x' is too large: out of memory") as caught:
        Preprocess(8).decode(encoded(Image.new("RGB", (9, 9))), "'x'")

    assert "too-large" == caught.value.status


def test_a_limit_of_addresses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ulimit -v`, less what the process has already."""
    unlimited = available_memory()
    script = "from edge_ood.images.decoding.memory import available_memory as a; print(a())"
    limit = 2**30

    limited = subprocess.run(
        [sys.executable, "-c", script],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        check=True,
    )

    assert 0 < int(limited.stdout) < limit
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert unlimited <= available_memory()


@pytest.mark.parametrize(
    ("groups", "folder", "name"),
    [
        ("0::/a/b\n", "a", "memory.max"),
        ("0::/a/b\n", "", "memory.max"),
        ("3:cpu:/\n2:memory:/a/b\n0::/\n", "memory/a/b", "memory.limit_in_bytes"),
    ],
)
def test_the_least_limit_of_all_groups_counts(
    groups: str, folder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both versions of control groups; where there is no limit, there is a word."""
    for place in ("a/b", "memory/a/b"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "a/b/memory.max").write_text("max\n")
    (tmp_path / folder / name).write_text(f"{2**22}\n")
    (tmp_path / "cgroup").write_text(groups)
    monkeypatch.setattr("edge_ood.images.decoding.memory._GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("edge_ood.images.decoding.memory._GROUPS_ROOT", tmp_path)

    assert 2**22 == available_memory()
