"""What every sketch of training features refuses."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from edge_ood.errors import CalibrationError

__all__ = ["check_every_class", "finite_features"]


def finite_features(features: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Features as an array of a floating type.

    Raises:
        CalibrationError: If one is not finite.
    """
    batch = np.asarray(features, dtype)
    if not np.isfinite(batch).all():
        raise CalibrationError("a training image has features that are not finite")
    return batch


def check_every_class(counts: NDArray[np.int64]) -> None:
    """Refuse classes without an image, given images by class (K,).

    Raises:
        CalibrationError: It says how many there are.
    """
    empty = int((counts == 0).sum())
    if empty:
        raise CalibrationError(
            f"{empty} of {len(counts)} classes have no image to fit statistics on",
            hint="every class needs at least one training image",
        )
