"""Which images play which role: draws and halves that are functions of names, seeds and hashes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.images.folders import ImageSet

__all__ = ["evenly_spread", "halves_by_hash", "stratified_split"]


def stratified_split(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Mask (N,) of a stratified sample: the same fraction of every class, and at least one image.

    Args:
        labels: Class indices (N,).
        fraction: Share to take from each class, in (0, 1); rounded to whole images.
        seed: The draw is a function of seed, class and N alone.
    """
    taken = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * len(members)))
        taken[np.random.default_rng([seed, int(label)]).permutation(members)[:count]] = True
    return taken


def halves_by_hash(hashes: Sequence[str]) -> NDArray[np.bool_]:
    """Mask (N,) of one half of the images, decided by their content hashes alone.

    Copies of one image are in the same half.
    """
    _, ranks = np.unique(np.asarray(hashes), return_inverse=True)
    half: NDArray[np.bool_] = ranks % 2 == 0
    return half


def evenly_spread(images: ImageSet, count: int) -> ImageSet:
    """At most `count` images, spread over all, so that every class is likely among them."""
    taken = min(count, len(images))
    return images.subset(np.arange(taken) * len(images) // max(1, taken))
