"""Work in pieces, for the processor's cores: batches of items, and one function over many."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = [
    "Meter",
    "available_cores",
    "batched",
    "image_batch",
    "ordered_map",
    "slices",
]

_AHEAD_PER_THREAD = 16
_BATCH_PIXELS, _LARGEST_BATCH = 1 << 18, 64

_MAPS_OF_A_GRADIENT = 4
"""Feature maps that are kept for the way back, over those of a way there alone; about."""


class Meter:
    """How much of a long piece of work is done.

    Args:
        total: How many images there are to do, each as often as it is read.
        tell: Called with how many are done, and the total.
    """

    def __init__(self, total: int, tell: Callable[[int, int], None]) -> None:
        self._done, self._total, self._tell = 0, total, tell

    def advance(self, images: int = 1) -> None:
        """Count some more."""
        self._done += images
        self._tell(self._done, self._total)


T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` consecutive items, the last perhaps shorter: `itertools.batched` of 3.12."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def image_batch(size_px: int, *, gradient: bool = False) -> int:
    """How many images of this side a batch has, 1 to 64: feature maps take memory by pixels.

    Args:
        size_px: Side.
        gradient: Whether maps are kept for a way back, which takes several times as much.
    """
    maps = _MAPS_OF_A_GRADIENT if gradient else 1
    return max(1, min(_BATCH_PIXELS // size_px**2, _LARGEST_BATCH) // maps)


def slices(count: int, size: int) -> Iterator[slice]:
    """What cuts an array of `count` rows into batches of `size`, the last perhaps shorter."""
    return (slice(start, start + size) for start in range(0, count, size))


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int | None = None,
    ahead: int = _AHEAD_PER_THREAD,
) -> Iterator[R]:
    """Map in threads, in order, with at most `ahead` items per thread under way."""
    workers = threads or available_cores()
    remaining = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque(
            pool.submit(function, item) for item in islice(remaining, ahead * workers)
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
