"""Files through decoder and network: every file its own pixels, in order, a few at a time."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_ood.errors import DataError, InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.runtime.pipeline import Schedule, run_files

FILES = 40
LONGEST_S = 0.003
MEETING_S = 10.0


SIGNATURE = b"GIF89a"  # files are told by their first bytes before anyone decodes them


class Levels(Preprocess):
    """Decodes a file that holds a number to an image of that grey level, after a random while."""

    def decode(self, payload: bytes, name: str = "image") -> NDArray[np.uint8]:
        """A file without a number is no image; one that holds a word is a bug of the decoder."""
        time.sleep(np.random.default_rng(list(payload)).uniform(0, LONGEST_S))
        content = payload.removeprefix(SIGNATURE)
        if not content:
            raise DataError(f"{name} is empty")
        return np.full((self.size_px, self.size_px, 3), int(content), np.uint8)


def levels_of(images: NDArray[np.uint8]) -> list[int]:
    """A network that answers with the grey levels; nobody touches its input meanwhile."""
    before = images.copy()
    time.sleep(LONGEST_S / 2)
    assert (before == images).all()
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files that hold 0, 1, 2 and so on."""
    folder = tmp_path_factory.mktemp("numbered")
    for number in range(FILES):
        (folder / f"{number:02}").write_bytes(SIGNATURE + b"%d" % number)
    (folder / "empty").write_bytes(SIGNATURE)
    (folder / "text").write_text("text")
    (folder / "word").write_bytes(SIGNATURE + b"word")
    return sorted(folder.iterdir())


def paths_of(numbered: list[Path], names: list[str]) -> list[Path]:
    """Some of the files."""
    return [numbered[0].parent / name for name in names]


@given(
    chosen=st.lists(
        st.sampled_from([*(f"{n:02}" for n in range(FILES)), "empty", "text", "missing"])
    ),
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 4),
    runs_at_once=st.integers(1, 4),
)
def test_every_file_has_its_own_pixels(
    numbered: list[Path], chosen: list[str], batch_size: int, workers: int, runs_at_once: int
) -> None:
    """However long each takes: results, errors and paths stay together, in order."""
    paths = paths_of(numbered, chosen)
    schedule = Schedule(batch_size, workers, runs_at_once)

    batches = list(run_files(paths, Levels(2), levels_of, schedule))

    assert paths == [path for batch in batches for path in batch.paths]
    assert all(batch_size == len(batch.paths) for batch in batches[:-1])
    for batch in batches:
        readable = [path for path in batch.paths if path.name.isdigit()]
        assert readable == batch.readable
        assert ([int(path.name) for path in readable] or None) == batch.result
        for position, error in batch.errors.items():
            assert f"'{batch.paths[position]}'" in str(error)


def test_batches_are_written_in_place(numbered: list[Path]) -> None:
    """A whole batch reaches the network without a copy, in as many arrays as there are workers."""
    owners = []

    def run(images: NDArray[np.uint8]) -> None:
        assert images.base is not None
        owners.append(images.base)

    list(run_files(numbered[:FILES], Levels(2), run, Schedule(4, 2, 2)))

    assert FILES / 4 == len(owners)
    assert len({id(owner) for owner in owners}) <= 2


@pytest.mark.parametrize(("workers", "allowed"), [(3, 1), (3, 2), (2, 2)])
def test_as_many_batches_as_allowed_are_in_the_network(
    numbered: list[Path], workers: int, allowed: int
) -> None:
    """Never more; and that many meet there."""
    inside = 0
    lock = threading.Lock()
    meeting = threading.Barrier(allowed, timeout=MEETING_S)

    def run(_: NDArray[np.uint8]) -> None:
        nonlocal inside
        with lock:
            inside += 1
            assert inside <= allowed
        meeting.wait()
        time.sleep(LONGEST_S)
        with lock:
            inside -= 1

    schedule = Schedule(4, workers, allowed)
    assert FILES / 4 == len(list(run_files(numbered[:FILES], Levels(2), run, schedule)))


def test_a_bounded_number_of_files_is_under_way(numbered: list[Path]) -> None:
    """Nothing piles up before a reader that is slower than decoder and network."""
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield numbered[1]

    batches = run_files(endless(), Levels(2), levels_of, Schedule(4, 2, 2))
    for taken in range(1, 6):
        next(batches)
        time.sleep(10 * LONGEST_S)
        assert asked <= 4 * (taken + 2 * 4)
    batches.close()


def test_closing_ends_the_threads(numbered: list[Path]) -> None:
    """Whoever stops half-way leaves nothing running."""
    before = set(threading.enumerate())

    batches = run_files(numbered[:FILES], Levels(2), levels_of, Schedule(2, 3, 3))
    next(batches)
    assert before < set(threading.enumerate())
    batches.close()

    assert before == set(threading.enumerate())


def test_a_bug_in_the_decoder_comes_out_as_itself(numbered: list[Path]) -> None:
    """Not as a row, not as a hang: the batches before it come first, the threads end."""
    before = set(threading.enumerate())
    paths = paths_of(numbered, ["00", "01", "word", "02", "03", "04"])
    batches = run_files(paths, Levels(2), levels_of, Schedule(2, 2, 2))

    assert [0, 1] == next(batches).result
    with pytest.raises(ValueError, match="invalid literal for int"):
        next(batches)
    assert before == set(threading.enumerate())


def test_an_error_of_the_network_comes_out_as_itself(numbered: list[Path]) -> None:
    """At its batch's turn."""

    def run(images: NDArray[np.uint8]) -> Any:
        if images.max() > 3:
            raise LookupError("level four")
        return levels_of(images)

    batches = run_files(numbered[:FILES], Levels(2), run, Schedule(2, 2, 1))

    assert [[0, 1], [2, 3]] == [next(batches).result, next(batches).result]
    with pytest.raises(LookupError, match="level four"):
        next(batches)


def test_hashes_are_computed_when_asked_for(numbered: list[Path]) -> None:
    """SHA-256 of each readable file's bytes; none otherwise, which saves reading them twice."""
    paths = paths_of(numbered, ["07", "empty", "09"])

    for hashing, expected in ((True, [SIGNATURE + b"7", SIGNATURE + b"9"]), (False, [])):
        (batch,) = run_files(paths, Levels(2), levels_of, Schedule(3, 1, 1), hashing=hashing)
        assert [hashlib.sha256(content).hexdigest() for content in expected] == batch.hashes


def test_a_batch_knows_how_long_it_took(numbered: list[Path]) -> None:
    """From the first file to the result, the wait for decoder and network included."""

    def run(_: NDArray[np.uint8]) -> None:
        time.sleep(0.05)

    started = time.perf_counter()
    (batch,) = run_files(numbered[:2], Levels(2), run, Schedule(2, 1, 1))

    assert 0.05 <= batch.seconds <= time.perf_counter() - started


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_numbers_below_one_are_refused(numbers: tuple[int, int, int]) -> None:
    """With the number that arrived."""
    with pytest.raises(InputError, match=r"0.*, expected 1 or more"):
        Schedule(*numbers)
