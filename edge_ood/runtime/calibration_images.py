"""Which images must not set thresholds: copies, images that trained, those that it mostly flags."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.metadata import Metadata
from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import CalibrationError
from edge_ood.files.stored import AnyImage
from edge_ood.images.copies import shown_names

__all__ = ["refuse_copies", "refuse_mostly_flagged", "refuse_trained_on"]


def refuse_copies(guarantee: Guarantee, counted: NDArray[np.bool_]) -> None:
    """Refuse too few images without their copies, and say that there are copies.

    Args:
        guarantee: What is to be held.
        counted: Mask (n,) of the first of each image.

    Raises:
        CalibrationError: If they are too few for it.
    """
    distinct = int(counted.sum())
    try:
        guarantee.check_images(distinct)
    except CalibrationError as error:
        copies = len(counted) - distinct
        raise CalibrationError(
            f"{error}; of {len(counted)} files {copies} are copies of others", hint=error.hint
        ) from error


def refuse_trained_on(
    metadata: Metadata, images: Sequence[AnyImage], hashes: Sequence[str]
) -> None:
    """Refuse images that the classifier knows, whatever its role for them, but for calibration.

    Args:
        metadata: Of the file.
        images: N files.
        hashes: N content hashes.

    Raises:
        CalibrationError: If there is one.
    """
    for role, manifest in metadata.manifests.items():
        seen = manifest.overlap(hashes)
        if role != "calibration" and seen.any():
            files = [path for path, is_seen in zip(images, seen, strict=True) if is_seen]
            raise CalibrationError(
                f"{len(files)} of {len(images)} calibration images are {role} images of this "
                f"classifier: {shown_names(files)}",
                hint="calibrate with ID images that took no part in training",
            )


def refuse_mostly_flagged(metadata: Metadata, scores: Scores) -> None:
    """Refuse images most of which a calibrated file takes for something unknown.

    Thresholds set by them would let everything pass that looks as they do. The limit lies halfway
    between the false-alarm rate and all of them.

    Args:
        metadata: Of the file, which says whether its decisions mean anything yet.
        scores: Of N images, by the file as it is.

    Raises:
        CalibrationError: If more of them are flagged.
    """
    flagged, total = int(scores.is_ood.sum()), len(scores.is_ood)
    if not metadata.calibration.n or 2 * flagged <= (1 + metadata.calibration.alpha) * total:
        return
    raise CalibrationError(
        f"{flagged} of {total} calibration images are out-of-distribution for this "
        "file as it is: is this the right folder?",
        hint="calibrate with ID images; --force takes these, and whatever looks like them will "
        "pass from then on",
    )
