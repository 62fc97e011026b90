"""The directions in which training features hardly vary, and how far an image goes along them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError
from edge_ood.scores import Statistics
from edge_ood.scores._features import length

__all__ = ["minor_directions", "off_subspace"]

_LEAST_REST = 1e-9  # of the variance; what float32 features leave by rounding is far less


def minor_directions(
    moments: NDArray[np.float64], dimensions: int
) -> dict[str, NDArray[np.float64]]:
    """The subspace of the largest moments (D, D), as the smaller of it and what is left.

    Args:
        moments: Second moments about the origin.
        dimensions: d, of the subspace; 0 for the rule of ViM's authors: 1000 of 2048 or more, 512
            of 768 or more, else half of D.

    Returns:
        `principal` (D, d), or `minor` (D, D - d) where that is smaller.

    Raises:
        CalibrationError: If training features have no part outside the subspace: they are too few.
    """
    width = len(moments)
    if not dimensions:
        dimensions = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
    kept = min(dimensions, width - 1)
    variances, vectors = np.linalg.eigh(moments)
    if variances[: width - kept].sum() <= _LEAST_REST * variances.sum():
        raise CalibrationError(
            f"training images leave nothing outside {kept} of {width} directions, so that any other"
            " image would be infinitely far off",
            hint=f"more than {kept} of them, or fewer directions with :dimensions=",
        )
    if width - kept <= kept:
        return {"minor": vectors[:, : width - kept]}
    return {"principal": vectors[:, width - kept :]}


def off_subspace(xp: Any, centred: Any, statistics: Statistics) -> Any:
    """Distances (N,) of centred rows (N, D) from the subspace."""
    if "minor" in statistics:
        return length(xp, xp.matmul(centred, statistics["minor"]))[:, 0]
    along = xp.matmul(centred, statistics["principal"])
    back = xp.tensordot(along, statistics["principal"], axes=((1,), (1,)))
    return length(xp, centred - back)[:, 0]
