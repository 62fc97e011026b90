"""Outliers in archives of any size, read while training goes on, through a shuffle buffer.

A round shows every image once. Its archives come in a shuffled order, and so many of them at a
time as fill the buffer; the images of these are shuffled among each other. Every draw is so a
function of the seed, the round and the place in it, whatever was read before: a run that goes on,
and one of several processes, find the place where they are. What is read is whole archives, in
sequence.

Source: the shuffle of WebDataset, which draws archives, then images from a buffer; there what comes
out depends on what went in before. Without torch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import DataError
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import DecodedImage, decode_stream
from edge_ood.sources import StoredImages

__all__ = ["OutlierStream", "Round"]

_BUFFER_BYTES = 1 << 28
_MOST_BUFFERED = 8192  # images


@dataclass(frozen=True)
class Round:
    """The order of one round.

    Attributes:
        archives: Positions (S,) of all archives, in the order in which they are read.
        groups: Where, in that order, each group of archives that is in memory together begins,
            and S at the end.
        starts: The place in the round of the first image of each group, and M at the end.
    """

    archives: NDArray[np.int64]
    groups: NDArray[np.int64]
    starts: NDArray[np.int64]


class OutlierStream:
    """Images of archives, a buffer of which is in memory.

    Args:
        source: Archives, as `edge_ood.sources` has them.
        preprocess: Decode rules and side R.
        skip_broken: Let another image of the buffer stand in for one that cannot be decoded.

    Attributes:
        source: As above.
        counts: Images of each archive (S,).

    Raises:
        DataError: If an archive is damaged, or holds no image.
        InputError: If the source names anything else than archives.
    """

    def __init__(self, source: str, preprocess: Preprocess, *, skip_broken: bool = False) -> None:
        self.source = source
        self._preprocess, self._skip_broken = preprocess, skip_broken
        self._images = StoredImages([source])
        self._names = self._images.archives()
        self.counts = np.array([self._count(at) for at in range(len(self._names))], np.int64)
        self._ahead = ThreadPoolExecutor(1)
        self._loading: dict[tuple[int, ...], Future[NDArray[np.uint8]]] = {}
        self._round = lru_cache(maxsize=2)(self._drawn)

    def __len__(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def digest(self) -> str:
        """What the archives are called and how many images they hold, as a hash."""
        text = "".join(
            f"{name}\0{count}\0" for name, count in zip(self._names, self.counts, strict=True)
        )
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def buffered(self) -> int:
        """How many images a group has at least, if there are so many."""
        side = self._preprocess.resized_px
        return max(1, min(_MOST_BUFFERED, _BUFFER_BYTES // (3 * side * side)))

    def at(self, draw: tuple[int, ...], places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images (N, R, R, 3) at places of an endless sequence of rounds.

        Args:
            draw: Seed and purpose.
            places: int64 (N,), >= 0.

        Raises:
            DataError: If an image cannot be decoded, or an archive has changed.
        """
        side = self._preprocess.resized_px
        images = np.empty((len(places), side, side, 3), np.uint8)
        rounds, within = np.divmod(places, len(self))
        for turn in np.unique(rounds):
            order = self._round((*draw, int(turn)))
            groups = np.searchsorted(order.starts, within, side="right") - 1
            for group in np.unique(groups[rounds == turn]):
                mine = (rounds == turn) & (groups == group)
                found, rows = self._group(order, int(group), (*draw, int(turn)))
                images[mine] = found[rows[within[mine] - order.starts[group]]]
        return images

    def first(self, most: int) -> NDArray[np.uint8]:
        """The first images, as they lie, for a picture of all."""
        return np.stack(list(self._decoded(range(len(self._names)), most)))

    def _drawn(self, draw: tuple[int, ...]) -> Round:
        archives = np.random.default_rng(draw).permutation(len(self._names))
        groups, starts, held = [0], [0], 0
        for position, count in enumerate(self.counts[archives], start=1):
            held += int(count)
            if held >= self.buffered or position == len(archives):
                groups.append(position)
                starts.append(starts[-1] + held)
                held = 0
        return Round(archives, np.array(groups), np.array(starts))

    def _group(
        self, order: Round, group: int, draw: tuple[int, ...]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The images of a group, and their order; the group behind it is read meanwhile."""
        members = self._members(order, group)
        following = self._members(order, group + 1) if group + 2 < len(order.groups) else ()
        for wanted in filter(None, (members, following)):
            if wanted not in self._loading:
                self._loading[wanted] = self._ahead.submit(self._loaded, wanted)
        for stale in [each for each in self._loading if each not in (members, following)]:
            self._loading.pop(stale).cancel()
        images = self._loading[members].result()
        return images, np.random.default_rng((*draw, group)).permutation(len(images))

    def _members(self, order: Round, group: int) -> tuple[int, ...]:
        return tuple(order.archives[order.groups[group] : order.groups[group + 1]].tolist())

    def _loaded(self, archives: Sequence[int]) -> NDArray[np.uint8]:
        total = int(self.counts[list(archives)].sum())
        side = self._preprocess.resized_px
        images = np.empty((total, side, side, 3), np.uint8)
        count = 0
        for image in self._decoded(archives, total + 1):
            if count < total:
                images[count] = image
            count += 1
        if count != total:
            raise DataError(
                f"'{self.source}' has changed: {count} images where there were {total}",
                hint="restore the archives, or start again with --force",
            )
        return images

    def _decoded(self, archives: Sequence[int], most: int) -> Iterator[NDArray[np.uint8]]:
        count, last = 0, None
        for archive in archives:
            stored = self._images.of_archives(archive, len(self._names))
            for decoded in decode_stream(stored, self._preprocess):
                if count == most:
                    return
                if isinstance(decoded, DecodedImage):
                    last = decoded.pixels
                elif last is None or not self._skip_broken:
                    raise decoded
                yield last
                count += 1

    def _count(self, archive: int) -> int:
        count = 0
        for image in self._images.of_archives(archive, len(self._names)):
            if image.name == image.archive:
                image.read()  # it stands for what is wrong with the archive
            count += 1
        return count
