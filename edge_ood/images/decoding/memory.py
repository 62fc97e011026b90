"""How much memory images may take: one budget over all threads of the process.

Every thread can have an image in hand, and the largest that is decoded takes hundreds of megabytes.
So threads count what they are about to take, and wait while the others have too much. An image
that does not fit alone is refused: one row of a table is not worth the run.
"""

import os
import re
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image

__all__ = [
    "FILES",
    "PIXELS",
    "MemoryBudget",
    "available_memory",
    "data_memory",
    "decoding_bytes",
    "free_memory",
]

_GROUPS, _GROUPS_ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

_DEEP = ("I", "F")  # first letters of modes that go through 64-bit numbers
_BYTES_PER_PIXEL = 12
"""Pillow has four for each pixel of the image, of the upright one and of its central square."""
_BYTES_PER_DEEP_PIXEL = 24
_BYTES_PER_LAYERED_PIXEL = 20
"""Alpha, white, the two laid on one another, and the result; WebP's decoder has as many."""
_BYTES_PER_COEFFICIENTS = 6
"""All scans of a progressive JPEG go over 16 bits for each sample, at full size."""


class MemoryBudget:
    """Bytes that all threads together may hold.

    A thread that holds something of a budget must not ask it for more: each could wait for others.

    Args:
        most: Says how many bytes; asked once, when the first are wanted.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = cache(most)
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, n_bytes: int) -> Iterator[None]:
        """Hold so many bytes inside the block, once the other threads leave them.

        Raises:
            MemoryError: If there are never so many.
        """
        most = self._most()
        if n_bytes > most:
            raise MemoryError(
                f"it takes {n_bytes >> 20} MiB of memory, at most {most >> 20} MiB are used"
            )
        with self._changed:
            while self._held + n_bytes > most:
                self._changed.wait()
            self._held += n_bytes
        try:
            yield
        finally:
            with self._changed:
                self._held -= n_bytes
                self._changed.notify_all()


def decoding_bytes(image: Image.Image, full_pixels: int) -> int:
    """About how much memory it takes to decode an image that was opened, and make it RGB.

    Args:
        image: At the scale at which it will be decoded.
        full_pixels: Its number of pixels at full scale.
    """
    width, height = image.size
    each = _BYTES_PER_PIXEL
    if image.mode.startswith(_DEEP):
        each = _BYTES_PER_DEEP_PIXEL
    elif image.format == "WEBP" or image.has_transparency_data:
        each = _BYTES_PER_LAYERED_PIXEL
    coefficients = _BYTES_PER_COEFFICIENTS if image.info.get("progressive") else 0
    return each * width * height + coefficients * full_pixels


def available_memory() -> int:
    """Bytes that this process may ever have, whoever limits it: machine, `ulimit` or cgroup."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limits = [pages * page, *_cgroup_limits()]
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        # Libraries take a large part of an address space.
        in_use = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * page
        limits.append(max(0, most - in_use))
    return min(limits)


def data_memory() -> int:
    """Bytes that this process has for data, used or not: what `RLIMIT_DATA` limits."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[5]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> int:
    """Bytes of the machine that can be used now without swapping."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroup_limits() -> Iterator[int]:
    """Limits of the control groups that this process is in, those around them included."""
    try:
        groups = re.findall(r"^\d+:(memory|):(/.*)$", _GROUPS.read_text("ascii"), re.M)
    except OSError:
        return
    for controller, group in groups:
        root = _GROUPS_ROOT / controller
        name = "memory.limit_in_bytes" if controller else "memory.max"
        # In a container the path is that of the host, and the root is the container's own.
        for folder in (root / group[1:], *(root / group[1:]).parents):
            if folder.is_relative_to(root):
                yield from _number(folder / name)


def _number(path: Path) -> Iterator[int]:
    try:
        yield int(path.read_text("ascii"))
    except (OSError, ValueError):
        return  # there is no limit, or no such group here


# A share each, so that a thread that holds a file never waits for another that holds one.
FILES = MemoryBudget(lambda: available_memory() // 4)
PIXELS = MemoryBudget(lambda: available_memory() // 2)
