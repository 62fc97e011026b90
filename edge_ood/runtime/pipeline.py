"""Files through decoder and network in batches, with every core busy at one or the other.

Each worker takes the next batch of paths, decodes them one after another into an array of its own
and runs the network on it, while the other workers do the same with other batches. So cores need
not be shared out between decoding and inference: whichever takes longer gets more of them, by
itself. The network should run on one thread a batch: several batches side by side do not wait for
each other as the threads of one batch do.
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import BoundedSemaphore
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError, InputError
from edge_ood.files.stored import AnyImage, image_batches
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import content_hash
from edge_ood.threads import ordered_map

__all__ = ["FileBatch", "Schedule", "check_batch_size", "run_files"]

_BATCHES_AHEAD = 4  # of each worker, so that one slow batch does not stop the others

R = TypeVar("R")


@dataclass(frozen=True)
class Schedule:
    """How the work is shared out.

    Attributes:
        batch_size: Files per inference, 1 or more.
        workers: Threads that decode and wait for the network, 1 or more.
        runs_at_once: How many of them may be in the network at a time, 1 or more.

    Raises:
        InputError: If one of them is less than 1.
    """

    batch_size: int
    workers: int
    runs_at_once: int

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)
        if min(self.workers, self.runs_at_once) < 1:
            raise InputError(f"{min(self.workers, self.runs_at_once)} threads, expected 1 or more")


@dataclass(frozen=True)
class FileBatch(Generic[R]):
    """Files with what came of them.

    Attributes:
        paths: N files.
        errors: Of those that could not be decoded, by position.
        hashes: Content hashes of the others if they were asked for, else empty.
        result: What the network made of the others; None if there are none.
        seconds: From reading the first file to the result.
    """

    paths: Sequence[AnyImage]
    errors: Mapping[int, DataError]
    hashes: Sequence[str]
    result: R | None
    seconds: float

    @property
    def readable(self) -> list[AnyImage]:
        """The files that `result` is about."""
        return [path for i, path in enumerate(self.paths) if i not in self.errors]


def run_files(
    paths: Iterable[AnyImage],
    preprocess: Preprocess,
    run: Callable[[NDArray[np.uint8]], R],
    schedule: Schedule,
    *,
    hashing: bool = False,
) -> Generator[FileBatch[R], None, None]:
    """Decode files and run the network on them, in order; memory does not grow with the number.

    Args:
        paths: Files, read a bounded number ahead.
        preprocess: Decode rules and size S.
        run: The network, from uint8 (N, S, S, 3) to anything that does not share its memory.
        schedule: Batches are of consecutive files, all of the same number but the last, of each
            archive where there are any.
        hashing: Compute content hashes, too.

    Raises:
        Exception: What `paths` raise when it is read, and `run` or a bug at its batch's turn.
    """
    size = preprocess.resized_px
    arrays: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()
    for _ in range(schedule.workers):
        arrays.put(np.empty((schedule.batch_size, size, size, 3), np.uint8))
    gate = BoundedSemaphore(schedule.runs_at_once)

    def work(chunk: Sequence[AnyImage]) -> FileBatch[R]:
        pixels = arrays.get()
        started = time.perf_counter()
        try:
            decoded = [
                _decode_into(pixels[i], path, preprocess, hashing=hashing)
                for i, path in enumerate(chunk)
            ]
            errors = {i: item for i, item in enumerate(decoded) if isinstance(item, DataError)}
            hashes = [item for item in decoded if isinstance(item, str)]
            readable = [i for i in range(len(chunk)) if i not in errors]
            images = pixels[readable] if errors else pixels[: len(chunk)]
            with gate:
                result = run(images) if readable else None
        finally:
            arrays.put(pixels)
        return FileBatch(chunk, errors, hashes, result, time.perf_counter() - started)

    chunks = image_batches(paths, schedule.batch_size)
    yield from ordered_map(work, chunks, threads=schedule.workers, ahead=_BATCHES_AHEAD)


def check_batch_size(batch_size: int) -> None:
    """Refuse batches without an image.

    Raises:
        InputError: If it is less than 1.
    """
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}, expected 1 or more")


def _decode_into(
    out: NDArray[np.uint8], path: AnyImage, preprocess: Preprocess, *, hashing: bool
) -> str | DataError | None:
    """The content hash of the file if asked for, or what is wrong with the file."""
    try:
        with image_payload(path) as payload:
            out[...] = preprocess.decode(payload, f"'{path}'")
            return content_hash(payload) if hashing else None
    except DataError as error:
        return error
