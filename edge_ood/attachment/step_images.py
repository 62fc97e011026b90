"""Which images each step of attaching reads, and as what."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_ood.attachment.request import Request
from edge_ood.errors import InputError
from edge_ood.files.paths import shown_path
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import DecodedImage, decode_all, decode_each, with_hashes
from edge_ood.images.splits import evenly_spread, halves_by_hash
from edge_ood.parity.extremes import extremes
from edge_ood.scores import BoundHead

__all__ = [
    "compared_images",
    "parity_images",
    "probability_images",
    "ranging_input",
    "statistics_images",
    "with_images_back",
]

_RANGE_IMAGES, _COMPARED_IMAGES = 256, 512


def with_images_back(request: Request, heads: Sequence[BoundHead]) -> Request:
    """Let images that were held back set thresholds, unless something is fitted or chosen by them.

    Args:
        request: Some of its images may be `lent`.
        heads: That the artefact gets.
    """
    options = request.options
    decides = any(head.head.fit for head in heads) or options.epsilon != "declared"
    if decides or options.precision == "int8" or not len(request.lent):
        return request
    calibration = _joined(request.calibration, request.lent)
    back = set(request.lent.paths)
    others = np.array([path not in back for path in request.training.paths], np.bool_)
    provenance = {**request.provenance, "statistics": "none"}
    if not others.any():
        request = replace(request, training=calibration, training_role="calibration")
    else:
        request = replace(request, training=request.training.subset(others))
    return replace(request, calibration=calibration, lent=ImageSet(()), provenance=provenance)


def statistics_images(request: Request, heads: Sequence[BoundHead]) -> tuple[ImageSet, ImageSet]:
    """Which images fit statistics, and which set thresholds: all, where no head is fitted.

    Raises:
        InputError: If calibration images are to fit them, and have no labels.
    """
    if request.options.statistics == "training" or not any(head.head.fit for head in heads):
        return request.training, request.calibration
    if request.calibration.labels is None:
        raise InputError(
            "statistics from calibration images need their labels",
            hint="arrange them as CALIBRATION/<class>/<file>, or use --statistics training",
        )
    first = halves_by_hash(with_hashes(request.calibration).hashes)
    return request.calibration.subset(first), request.calibration.subset(~first)


def probability_images(request: Request, heads: Sequence[BoundHead]) -> tuple[str, ImageSet]:
    """Labelled images that neither trained the classifier nor set a threshold, and their role.

    They are validation images, or else calibration images that were held back from thresholds; the
    role is `validation`, `calibration`, or empty where there are none.

    Args:
        request: Once it is settled which images are held back.
        heads: Fitted.
    """
    if len(request.validation):
        return "validation", request.validation
    images = request.lent
    if request.options.statistics == "calibration":
        decided, thresholds_from = statistics_images(request, heads)
        images = decided if len(thresholds_from) < len(request.calibration) else images
    if images.labels is None or not len(images):
        return "", ImageSet(())
    return "calibration", images


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


def _joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """Both, in the order of their paths, with their hashes."""
    paths = np.array([*first.paths, *second.paths])
    both = ImageSet(tuple(paths), hashes=(*first.hashes, *second.hashes))
    if first.labels is not None and second.labels is not None:
        both = replace(both, labels=np.concatenate([first.labels, second.labels]))
    return replace(both, classes=first.classes).subset(np.argsort(paths, kind="stable"))


def _range_images(request: Request) -> ImageSet:
    """Every so many training images; at least as many are left over."""
    return evenly_spread(request.training, min(_RANGE_IMAGES, max(1, len(request.training) // 2)))
