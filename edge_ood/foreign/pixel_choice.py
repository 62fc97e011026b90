"""How a network normalises pixels, where nobody says it: labelled images tell, few if clearly."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError
from edge_ood.foreign.conventions import Convention, ForeignNetwork
from edge_ood.foreign.mcnemar import CLEAR, is_better, lead
from edge_ood.foreign.output_kind import predicted

__all__ = ["FIRST", "choose_pixels", "known_images"]

FIRST = 32
"""Images that are enough where they tell clearly."""

_WAYS = "--pixels unit, byte, signed or imagenet, or --mean and --std"


def choose_pixels(
    network: ForeignNetwork,
    candidates: Sequence[Convention],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
) -> tuple[Convention, str]:
    """The normalisation with which a network knows most of some labelled images.

    Args:
        network: The classifier.
        candidates: Two or more conventions that differ in their mean and std.
        pixels: uint8 (N, S, S, 3), the first few evenly spread.
        labels: (N,), or None.

    Returns:
        The convention, and a sentence that says how sure that is.

    Raises:
        InputError: If there are no labels, or two are about as good as each other.
    """
    if labels is None:
        raise InputError(
            "how the network normalises pixels is not given, and there are no labels to tell",
            hint=f"{_WAYS}, as in its training",
        )
    right = _right_by_pixels(network, candidates, pixels, labels)
    best, second, *_ = sorted(right, key=lambda name: (-len(right[name]), -right[name].mean()))
    shares = ", ".join(
        f"{name} {hits.mean():.1%}" + f" of {len(hits)}" * (len(hits) < len(right[best]))
        for name, hits in right.items()
    )
    n = len(right[second])
    if not is_better(right[best][:n], than=right[second]):
        raise InputError(
            f"how the network normalises pixels is not given, and {len(labels)} labelled images "
            f"do not tell (correct with {shares})",
            hint=f"{_WAYS}, as in its training",
        )
    chosen = next(each for each in candidates if each.pixels == best)
    return chosen, f"{len(right[best])} labelled images, of which it knows {shares}"


def _right_by_pixels(
    network: ForeignNetwork,
    candidates: Sequence[Convention],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> dict[str, NDArray[np.bool_]]:
    """Which images it knows in each way: all of them, or few where another way is clearly better.

    The best one has seen all of them if another has.
    """
    some = {
        each.pixels: known_images(network, each, pixels[:FIRST], labels[:FIRST])
        for each in candidates
    }
    best = max(some.values(), key=lambda hits: int(hits.sum()))
    rivals = [each for each in candidates if lead(best, some[each.pixels]) < CLEAR]
    if len(rivals) > 1:
        some |= {each.pixels: known_images(network, each, pixels, labels) for each in rivals}
    return some


def known_images(
    network: ForeignNetwork,
    convention: Convention,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which images (N,) of some labels (N,) the network classifies correctly."""
    right: NDArray[np.bool_] = predicted(network(pixels, convention)) == labels
    return right
