"""What an archive of images is, and which there are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from edge_ood.errors import DataError
from edge_ood.files.stored import StoredImage
from edge_ood.registry import Registry

__all__ = ["ARCHIVES", "Archive", "unreadable"]

ARCHIVES = Registry("edge_ood.sources", kind="archive", attribute="ARCHIVE", separator="-")


@dataclass(frozen=True)
class Archive:
    """Files that hold many images.

    Attributes:
        name: Of its file here.
        suffixes: What names of such archives end in.
        seeks: Whether it is read from the end, so that a stream will not do.
        images: `images(file, name)` gives its images in order, each of them at least once read or
            passed over before the next; what cannot be read is an image whose `read` says so.
        again: `again(file, place)` gives the bytes of all images that are read together; an image
            is at `position[1]` of those at place `position[0]`. None where that cannot be done.
    """

    name: str
    suffixes: tuple[str, ...]
    seeks: bool
    images: Callable[[IO[bytes], str], Iterator[StoredImage]]
    again: Callable[[IO[bytes], int], list[bytes]] | None = None


def unreadable(name: str, archive: str, error: DataError) -> StoredImage:
    """What stands for an image, or a whole archive, that cannot be read: it becomes a row."""

    def read() -> bytes:
        raise error

    return StoredImage(name, 0, read, archive)
