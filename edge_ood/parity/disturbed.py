"""A classifier's outputs as other float32 programs might have given them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.scores import Outputs

__all__ = ["disturbed"]

_PATTERNS = 4
_UNIT = float(np.finfo(np.float32).eps)
"""Of float32: neighbours of a number are at most so far from it, of its size."""


def disturbed(exact: Outputs, plain: Sequence[Outputs], real: int) -> list[Outputs]:
    """Outputs in float64, each number off by what float32 programs got wrong there, up or down.

    What a score makes of rounded inputs depends on how their errors come together. A program or
    two may be lucky; several draws of the signs are not all.

    Args:
        exact: Of N images, extremes after the `real` ones.
        plain: Those of one float32 program or more.
        real: Number of real images.

    Returns:
        A few drawings of signs. A number is off by the largest error of its column among the
        images of its kind, at least by float32's unit of the largest number there.
    """
    generator = np.random.default_rng(0)
    errors = {
        name: _errors(value, [program.named()[name] for program in plain], real)
        for name, value in exact.named().items()
    }
    return [
        Outputs.from_named(
            {
                name: value + errors[name] * generator.choice([-1.0, 1.0], value.shape)
                for name, value in exact.named().items()
            }
        )
        for _ in range(_PATTERNS)
    ]


def _errors(value: NDArray[Any], found: Sequence[NDArray[Any]], real: int) -> NDArray[np.float64]:
    """Largest error by number (N, ...), the same for all real images and for all extremes."""
    with np.errstate(invalid="ignore"):
        wrong = np.max([np.abs(each.astype(np.float64) - value) for each in found], axis=0)
    wrong = np.fmax(np.where(np.isfinite(wrong), wrong, 0), _UNIT * _finite(value))
    counts = [real, len(value) - real]
    largest = [part.max(axis=0, initial=0) for part in np.split(wrong, [real])]
    errors: NDArray[np.float64] = np.repeat(np.stack(largest), counts, axis=0)
    return errors


def _finite(value: NDArray[Any]) -> NDArray[np.float64]:
    size: NDArray[np.float64] = np.where(np.isfinite(value), np.abs(value), 0)
    return size
