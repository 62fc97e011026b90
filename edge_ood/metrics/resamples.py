"""Images drawn again with replacement: the draws of a set, which all scores of its images share."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError

__all__ = ["Draws", "Resamples", "Strata"]


@dataclass(frozen=True)
class Resamples:
    """How often each of `n` images is drawn, replicate by replicate; made anew when asked for.

    Attributes:
        name: Of the set of images.
        n: Number of images, at least 1.
        count: Number of replicates, at least 1.
        seed: At least 0.
    """

    name: str
    n: int
    count: int
    seed: int

    def __post_init__(self) -> None:
        if self.n < 1 or self.count < 1 or self.seed < 0:
            raise InputError(
                f"{self.count} replicates of {self.n} images with seed {self.seed}, expected "
                "at least 1, 1 and 0"
            )

    def times(self, replicates: range) -> NDArray[np.uint8]:
        """How often each image was drawn, (len(replicates), n); every row sums to n.

        Example:
            >>> Resamples("test", n=3, count=9, seed=0).times(range(2)).sum(axis=1).tolist()
            [3, 3]
        """
        # A hundred draws of one image are impossible in practice: 256 have probability 1e-507.
        times = np.empty((len(replicates), self.n), np.uint8)
        stream = zlib.crc32(self.name.encode("utf-8", "surrogatepass"))
        for row, replicate in zip(times, replicates, strict=True):
            generator = np.random.default_rng((self.seed, stream, replicate))
            row[:] = np.bincount(generator.integers(0, self.n, self.n), minlength=self.n)
        return times


@dataclass(frozen=True)
class Strata:
    """Resamples of several sets of images as one set, in which each is drawn by itself.

    Attributes:
        parts: Of the sets, in order; as many replicates of each.
    """

    parts: tuple[Resamples, ...]

    @property
    def name(self) -> str:
        """All names."""
        return " + ".join(part.name for part in self.parts)

    @property
    def n(self) -> int:
        """Number of images."""
        return sum(part.n for part in self.parts)

    @property
    def count(self) -> int:
        """Number of replicates."""
        return self.parts[0].count

    def times(self, replicates: range) -> NDArray[np.uint8]:
        """How often each image was drawn, (len(replicates), n); see `Resamples.times`."""
        return np.concatenate([part.times(replicates) for part in self.parts], axis=1)


Draws = Resamples | Strata
"""What draws the images of a set."""
