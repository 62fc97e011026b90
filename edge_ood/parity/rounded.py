"""How far a file may be from another run of its classifier, which rounds inside to a few levels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import ExportError
from edge_ood.parity.limits import allowed_errors, deviation_of, largest_errors
from edge_ood.scores import Outputs

__all__ = ["check_own_runs", "rounded_limits"]

_ROUNDED_OF_DEVIATION, _TIMES_ROUNDED = 0.1, 2
"""Allowed error of logits and features, of their deviation: each program rounds some otherwise. Or
that many times what other sound runs of the same file differ by."""

_MOST_OF_ROUNDED = 0.5
"""By how much of the deviation those may differ, both as root mean squares: beyond, answers are as
much noise as not."""


def rounded_limits(
    outputs: Outputs, others: Sequence[Outputs], real: int
) -> dict[str, NDArray[np.float64]]:
    """Error allowed per image, by output, where programs round inside to different levels.

    Args:
        outputs: Of a float32 program, extremes after the `real` images.
        others: Those of other runs, as sound as it.
        real: Number of real images.

    Raises:
        ExportError: If the runs differ so much on real images that nothing can be told by them.
    """
    limits = {}
    for name, value in outputs.named().items():
        error = np.max([largest_errors(each.named()[name], value) for each in others], axis=0)
        own = [each.named()[name][:real] for each in others]
        check_own_runs(name, value[:real], own, deviation_of(value[:real]))
        least = _ROUNDED_OF_DEVIATION * deviation_of(value[:real])
        limits[name] = allowed_errors(error, real, times=_TIMES_ROUNDED, least=least)
    return limits


def check_own_runs(
    output: str, value: NDArray[Any], others: Sequence[NDArray[Any]], deviation: float
) -> None:
    """Refuse a classifier that rounds inside if sound runs of it are too far from each other.

    Args:
        output: What differs.
        value: What a run gives of images (N, ...).
        others: What the others give of them.
        deviation: Of the output, between images and classes.

    Raises:
        ExportError: If one is off by more than half of the deviation.
    """
    error = max(deviation_of(np.concatenate([value - o, o - value])) for o in others)
    if 0 < _MOST_OF_ROUNDED * deviation < error:
        raise ExportError(
            f"onnxruntime's own runs of the classifier differ by {error / deviation:.2g} of the "
            f"deviation of {output!r}, expected at most {_MOST_OF_ROUNDED:g}",
            hint="quantise it with finer levels, or attach to the float32 classifier",
        )
