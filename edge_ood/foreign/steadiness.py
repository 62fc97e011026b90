"""Whether what a network says of an image is about that image: twice, and in other company."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError
from edge_ood.foreign.conventions import Convention, ForeignNetwork

__all__ = ["check_steady"]

_IMAGES, _ALONE = 32, 3
_OF_LARGEST = 1e-2
"""How far two answers may differ, of the largest: other orders of summation differ far less, batch
statistics and dropped features far more."""


def check_steady(
    network: ForeignNetwork, conventions: Sequence[Convention], pixels: NDArray[np.uint8]
) -> None:
    """Refuse a network that answers by chance, by batch, or not in numbers.

    Args:
        network: The classifier.
        conventions: Ways to take its images; the first with finite answers is used.
        pixels: uint8 (N, S, S, 3), one image or more.

    Raises:
        InputError: If no convention gives finite numbers, two runs differ, or an image alone gets
            another answer than among others.
    """
    some = pixels[:_IMAGES]
    for convention in conventions:
        rows = network(some, convention)
        if np.isfinite(rows).all():
            break
    else:
        count = int((~np.isfinite(rows)).any(axis=1).sum())
        raise InputError(
            f"its scores of {count} of {len(some)} images are not finite",
            hint="numbers overflow in float16, or its pixels are of another kind: --pixels",
        )
    allowed = _OF_LARGEST * float(np.abs(rows).max())
    again = float(np.abs(network(some, convention) - rows).max())
    if again > allowed:
        raise InputError(
            f"two runs on the same images differ by {again:.2g} (its scores reach "
            f"{np.abs(rows).max():.2g})",
            hint="it draws random numbers, as in training; export it in evaluation mode",
        )
    alone = np.concatenate([network(image[None], convention) for image in some[:_ALONE]])
    apart = float(np.abs(alone - rows[:_ALONE]).max())
    if apart > allowed:
        raise InputError(
            f"alone an image gets scores that differ by {apart:.2g} from those among others (they "
            f"reach {np.abs(rows).max():.2g})",
            hint="it computes something over the batch: batch normalisation in training mode, or "
            "dynamic quantisation; export it in evaluation mode, or quantise it statically",
        )
