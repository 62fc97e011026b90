"""Which files of a run one of several machines scores."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Protocol

from edge_ood.errors import InputError
from edge_ood.files.stored import AnyImage, StoredImage

__all__ = ["BY_ARCHIVE", "BY_BATCH", "Archives", "Shard", "ShardArchives", "ShardFiles"]

BY_BATCH, BY_ARCHIVE = "batch", "archive"
"""How images are dealt out to shards."""


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a run: every `count`-th batch of files, from batch `index` on.

    Whole batches, because the last bits of a score may depend on what else is in the batch: so a
    shard's rows are the single run's rows.

    Attributes:
        index: 1 to `count`.
        count: Number of shards; 1 is the whole run.

    Raises:
        InputError: If there is no such shard.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise InputError(f"there is no shard {self}", hint=f"1/{self.count} is the first")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`.

        Raises:
            InputError: If the text is anything else, or I is not in 1 to N.
        """
        if not re.fullmatch(r"[0-9]{1,9}/0*[1-9][0-9]{0,8}", text):
            raise InputError(f"shard {text!r}, expected I/N", hint="1/4 is the first of four")
        index, count = map(int, text.split("/"))
        return cls(index, count)

    def holds(self, position: int, batch_size: int) -> bool:
        """Whether the file at a position, from 0, of the whole run's order is in this shard."""
        return position // batch_size % self.count == self.index - 1

    def size(self, total: int, batch_size: int) -> int:
        """How many of the whole run's files are in this shard."""
        rounds, rest = divmod(total, batch_size * self.count)
        own_rest = rest - batch_size * (self.index - 1)
        return rounds * batch_size + min(max(own_rest, 0), batch_size)


class ShardFiles:
    """The files of one shard, in the whole run's order, walked anew each time.

    Args:
        files: The files of the whole run.
        shard: Which of them to take.
        batch_size: Images per inference.

    Attributes:
        shard: As above.
        batch_size: As above.
        total: Number of files in the whole run, as the last complete walk found them.
        digest: Hash of their paths; two walks that found the same have the same.
    """

    def __init__(self, files: Iterable[AnyImage], shard: Shard, batch_size: int) -> None:
        self.total = 0
        self.digest = ""
        self._files = files
        self.shard = shard
        self.batch_size = batch_size

    dealt = BY_BATCH

    def __iter__(self) -> Iterator[AnyImage]:
        digest, total = hashlib.sha256(), 0
        for position, path in enumerate(self._files):
            digest.update(os.fsencode(str(path)) + b"\0")
            total += 1
            if self.shard.holds(position, self.batch_size):
                yield path
        self.digest, self.total = digest.hexdigest(), total

    def count(self) -> int | None:
        """How many there are in this shard; None where only a walk over a store would tell."""
        if not isinstance(self._files, Sized):
            return None
        return self.shard.size(len(self._files), self.batch_size)


class Archives(Protocol):
    """Archives of images, as `edge_ood.sources` opens them."""

    def archives(self) -> list[str]:
        """Their names, in order."""

    def of_archives(self, first: int, step: int) -> Iterator[StoredImage]:
        """Images of every `step`-th archive from one on; the others are not opened."""


class ShardArchives:
    """The images of one shard's archives: whole ones, so that each is read once by all shards.

    Args:
        archives: Of the whole run.
        shard: Which of them to take: every `count`-th.
        batch_size: Images per inference; no batch has images of two archives.

    Attributes:
        shard: As above.
        batch_size: As above.
        total: Number of archives of the whole run.
        digest: Hash of their names.
    """

    dealt = BY_ARCHIVE

    def __init__(self, archives: Archives, shard: Shard, batch_size: int) -> None:
        names = archives.archives()
        self.total = len(names)
        self.digest = hashlib.sha256("".join(f"{name}\0" for name in names).encode()).hexdigest()
        self._archives = archives
        self.shard = shard
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[StoredImage]:
        return self._archives.of_archives(self.shard.index - 1, self.shard.count)

    def count(self) -> int | None:
        """Not known before all archives were read."""
        return None
