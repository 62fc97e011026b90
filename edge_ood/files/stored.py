"""An image that is no file of its own: an object, a member of an archive, a cell of a table."""

import errno
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from edge_ood.threads import batched

__all__ = ["AnyImage", "StoredImage", "archive_of", "image_batches"]


@dataclass(frozen=True)
class StoredImage:
    """Its name, and how to come by its bytes.

    Attributes:
        name: As tables show it: a URL, `shard.tar!member`, `table.parquet#row`.
        size: How many bytes `read` gives, as far as it is known before.
        read: Gives them, in any thread, or raises `OSError`.
        archive: What it lies in, as named; empty for an object that is the image alone, and for one
            that can be read without what is before it.
        label: Its class, as far as what holds it says.
        position: Where in the archive it is found again; see `edge_ood.sources.Archive`.
    """

    name: str
    size: int
    read: Callable[[], bytes] = field(compare=False, repr=False)
    archive: str = ""
    label: str = field(default="", compare=False)
    position: tuple[int, int] = field(default=(0, 0), compare=False)

    @classmethod
    def of_bytes(cls, name: str, payload: bytes, archive: str = "", **more: Any) -> "StoredImage":
        """An image whose bytes are in memory."""
        return cls(name, len(payload), partial(bytes, payload), archive, **more)

    def __str__(self) -> str:
        return self.name

    def name_alone(self) -> "StoredImage":
        """The same without its bytes, where these are in memory."""
        return StoredImage(self.name, self.size, _gone, self.archive)


AnyImage = Path | StoredImage
"""What a row of a score table is about."""


def _gone() -> bytes:
    raise FileNotFoundError(errno.ENOENT, "its bytes were let go")


def archive_of(image: AnyImage) -> str:
    """What it lies in, together with others that are read with it; empty for a file of its own."""
    return image.archive if isinstance(image, StoredImage) else ""


def image_batches(images: Iterable[AnyImage], size: int) -> Iterator[list[AnyImage]]:
    """Consecutive images, `size` of them or fewer at the end; none has images of two archives."""
    for _, together in groupby(images, key=archive_of):
        yield from batched(together, size)
