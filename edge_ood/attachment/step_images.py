"""Which images each step of attaching reads, and as what."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.attachment.request import Request
from edge_ood.errors import InputError
from edge_ood.files.paths import shown_path
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import DecodedImage, decode_all, decode_each, with_hashes
from edge_ood.images.splits import evenly_spread, halves_by_hash
from edge_ood.parity.extremes import extremes

__all__ = ["compared_images", "parity_images", "ranging_input", "statistics_images"]

_RANGE_IMAGES, _COMPARED_IMAGES = 256, 512


def statistics_images(request: Request) -> tuple[ImageSet, ImageSet]:
    """Which images fit statistics, and which set thresholds.

    Raises:
        InputError: If calibration images are to fit them, and have no labels.
    """
    if request.options.statistics == "training":
        return request.training, request.calibration
    if request.calibration.labels is None:
        raise InputError(
            "statistics from calibration images need their labels",
            hint="arrange them as CALIBRATION/<class>/<file>, or use --statistics training",
        )
    first = halves_by_hash(with_hashes(request.calibration).hashes)
    return request.calibration.subset(first), request.calibration.subset(~first)


def ranging_input(request: Request) -> NDArray[np.float32]:
    """Network input that sets the ranges of int8: training images, and black, white and noise.

    Feature maps of images unlike those of training go beyond the range of those. If they were cut
    there, such images would rank otherwise than in float32.
    """
    training, _ = decode_all(_range_images(request).paths, request.preprocess)
    unlike = np.stack(list(extremes(request.preprocess.resized_px).values()))
    return request.preprocess.normalise(np.concatenate([training, unlike]), np.float32)


def parity_images(request: Request) -> dict[str, DecodedImage]:
    """Training images spread evenly over the set, so that every class is likely among them."""
    chosen = evenly_spread(request.training, request.reference.images).paths
    decoded = decode_each(chosen, request.preprocess)
    return {shown_path(path): item for path, item in zip(chosen, decoded, strict=True)}


def compared_images(request: Request) -> ImageSet:
    """Training images spread over the set, none of which set a range, if there are others."""
    ranged = set(_range_images(request).paths)
    others = np.array([path not in ranged for path in request.training.paths])
    held = request.training.subset(others) if others.any() else request.training
    return evenly_spread(held, _COMPARED_IMAGES)


def _range_images(request: Request) -> ImageSet:
    """Every so many training images; at least as many are left over."""
    return evenly_spread(request.training, min(_RANGE_IMAGES, max(1, len(request.training) // 2)))
