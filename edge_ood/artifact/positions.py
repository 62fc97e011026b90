"""Which images or artefacts of a result an index means, as lists and arrays have it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import InputError, OutOfRangeError, ShapeError

__all__ = ["is_number", "position_of", "positions_of"]


def is_number(wanted: Any) -> bool:
    """Whether it is a whole number, of Python or NumPy; a truth value is none."""
    return isinstance(wanted, int | np.integer) and not isinstance(wanted, bool)


def position_of(number: int, length: int, kind: str) -> int:
    """The position from 0 of a whole number that may count from the end, as -1 does.

    Args:
        number: From `-length` to `length - 1`.
        length: How many there are.
        kind: What they are, such as `image`.

    Raises:
        OutOfRangeError: If there is none of that number.
    """
    position = int(number)
    if not -length <= position < length:
        limits = f"expected {-length} to {length - 1}" if length else "there are none"
        raise OutOfRangeError(f"no {kind} {position}, {limits}")
    return position % length


def positions_of(wanted: Any, length: int) -> NDArray[np.int64]:
    """Positions of the images of a slice, a mask (N,) or whole numbers (M,).

    Raises:
        InputError: If it is anything else.
        OutOfRangeError: If there is no image of a number.
        ShapeError: If a mask has another length, or an array more axes.
    """
    everything = np.arange(length)
    if isinstance(wanted, slice):
        return everything[wanted]
    chosen = np.asarray(wanted)
    if not chosen.size and chosen.ndim == 1:
        return everything[:0]
    if chosen.dtype.kind not in "biu" or chosen.ndim == 0:
        shown = repr(wanted) if chosen.ndim == 0 else f"values of {chosen.dtype}"
        raise InputError(
            f"images chosen by {shown}, expected a number, a slice, a mask or numbers",
            hint="scores[0], scores[:10], scores[scores.is_ood]; a head's are scores.scores[NAME]",
        )
    if chosen.ndim != 1 or (chosen.dtype == np.bool_ and len(chosen) != length):
        raise ShapeError(
            f"images chosen by an array {chosen.shape}, expected a mask ({length},), or numbers",
            hint="scores.is_ood is such a mask, numpy.flatnonzero(scores.is_ood) are such numbers",
        )
    if chosen.dtype != np.bool_:
        outside = chosen[(chosen < -length) | (chosen >= length)]
        if len(outside):
            position_of(outside[0], length, "image")
    taken: NDArray[np.int64] = everything[chosen]
    return taken
