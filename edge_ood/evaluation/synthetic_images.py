"""Sets of images that are no files: each is made when it is asked for, the same every time."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.reading import decode_all
from edge_ood.registry import Count, bind_to
from edge_ood.runtime.scorer import Scorer
from edge_ood.synthetic import Synthetic
from edge_ood.threads import batched

__all__ = ["MOST_IMAGES", "SyntheticImages", "bind_sampled", "make_images"]

MOST_IMAGES = 2_000
"""Images of a set that was asked for without a `count`: as many as Outlier Exposure tests on."""

_WHITE = 255


@dataclass(frozen=True)
class SyntheticImages:
    """Images made from noise or from ID images, batch by batch; corrupted ID images, too.

    Image i depends on the seed, the name, the ID images and i alone, not on the batch that it
    is made in or on how many images there are. Sets of one seed make image i from the same ID
    image, the i-th in an order that the seed shuffles, so that a part of them has every class.

    Attributes:
        name: What the generators of the images are seeded with, beside `seed`.
        make: `make(generator, size_px)` or `make(generator, *images)` gives one image, float
            (S, S, 3) with values in [0, 1], of ID images like it.
        n_sources: ID images that each image is made from.
        id_images: The ID images.
        preprocess: What leads from their files to network size.
        count: N, at most one per ID image if it is made from any; None for one per ID image,
            and at most `MOST_IMAGES`.
        seed: Of all that is random.
        origins: int64 (N,), the position among the ID images of the one that each is made from;
            empty where they are made from none.

    Raises:
        InputError: If there are too few ID images.
    """

    name: str
    make: Callable[..., NDArray[np.floating[Any]]]
    n_sources: int
    id_images: ImageSet
    preprocess: Preprocess
    count: int | None = None
    seed: int = 0
    origins: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n_id = len(self.id_images)
        wanted = max(self.n_sources, len(self)) if self.n_sources else 0
        if wanted > n_id:
            raise InputError(
                f"{self.name!r} is to be made from {wanted} ID images, and there are {n_id}",
                hint="give more ID images, or ask for fewer with count=",
            )
        shuffled = np.random.default_rng(self.seed).permutation(n_id)
        used = shuffled[: len(self)] if self.n_sources else shuffled[:0]
        object.__setattr__(self, "origins", used)

    def __len__(self) -> int:
        return min(len(self.id_images), MOST_IMAGES) if self.count is None else self.count

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """The images at some positions, uint8 (n, S, S, 3).

        Raises:
            DataError: At the first ID image that cannot be decoded.
        """
        drawn = [self._drawn(index) for index in indices]
        paths = [self.id_images.paths[position] for _, positions in drawn for position in positions]
        sources, _ = decode_all(paths, self.preprocess)
        side = self.preprocess.resized_px
        frames = np.empty((len(drawn), side, side, 3), np.uint8)
        for row, (generator, _) in enumerate(drawn):
            first = row * self.n_sources
            images = [pixels / _WHITE for pixels in sources[first : first + self.n_sources]]
            image = self.make(generator, *(images or [side]))
            frames[row] = np.rint(image * _WHITE)
        return frames

    def batches(
        self, size: int, on_image: Callable[[], None] = lambda: None
    ) -> Iterator[NDArray[np.uint8]]:
        """All images, in order, uint8 (at most `size`, S, S, 3) at a time.

        Raises:
            DataError: At the first ID image that cannot be decoded.
        """
        for indices in batched(range(len(self)), size):
            frames = self.frames(indices)
            yield frames
            for _ in frames:
                on_image()

    def _drawn(self, index: int) -> tuple[np.random.Generator, list[int]]:
        """The generator of an image, and the positions of the ID images it is made from."""
        name = int.from_bytes(self.name.encode(), "big")
        generator = np.random.default_rng([self.seed, name, index])
        if not self.n_sources:
            return generator, []
        origin, n_id = int(self.origins[index]), len(self.id_images)
        offsets = [int(generator.integers(1, n_id)) for _ in range(1, self.n_sources)]
        return generator, [origin, *((origin + offset) % n_id for offset in offsets)]


def make_images(
    synthetic: Synthetic, parameters: Mapping[str, Any], scorer: Scorer, id_images: ImageSet
) -> SyntheticImages:
    """A set of one kind, at the size of an artefact's input.

    Args:
        synthetic: The kind.
        parameters: As `bind_sampled` completes them.
        scorer: The artefact.
        id_images: The ID images.

    Raises:
        ArtifactError: If an adversarial kind finds the artefact damaged.
        ExportError: If it has an operator without a gradient rule.
        InputError: If there are too few ID images.
    """
    own = {name: value for name, value in parameters.items() if name not in ("count", "seed")}
    return SyntheticImages(
        synthetic.name,
        _maker(synthetic, scorer, own),
        synthetic.n_sources,
        id_images,
        scorer.metadata.preprocess,
        parameters["count"],
        parameters["seed"],
    )


def _maker(
    synthetic: Synthetic, scorer: Scorer, parameters: Mapping[str, Any]
) -> Callable[..., NDArray[np.floating[Any]]]:
    if synthetic.kind == "synthetic":
        return partial(synthetic.make, **parameters)
    lead_away = synthetic.make(scorer, **parameters)

    def make(_: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        moved: NDArray[np.floating[Any]] = lead_away(image)
        return moved

    return make


def bind_sampled(
    function: Callable[..., Any], given: Mapping[str, Any], *, owner: str
) -> dict[str, Any]:
    """Complete and convert a kind's own parameters, and `count` and `seed`, which all sets have.

    Raises:
        UnknownNameError: If a name is not a parameter.
        InputError: If a value does not convert, or is out of range.
    """
    accepted = [
        parameter
        for signature in (function, _sampled)
        for parameter in inspect.signature(signature).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    bound = bind_to(accepted, given, owner=owner)
    if bound["count"] is not None and bound["count"] < 1:
        raise InputError(f"parameter 'count' of {owner} is {bound['count']}, expected 1 or more")
    return bound


def _sampled(*, count: int | None = None, seed: Count = 0) -> None:
    """What every set of synthetic images takes."""
