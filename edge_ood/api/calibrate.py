"""`edge_ood.calibrate`: thresholds anew, on the device, without torch."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.api.plain import PathLike, path_or_none
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import UsageError
from edge_ood.files.output import check_output
from edge_ood.files.stored import AnyImage
from edge_ood.images.folders import find_images
from edge_ood.onnx_session import check_model_file
from edge_ood.report.leave import renew_export_page
from edge_ood.runtime.calibrate import (
    Elsewhere,
    calibrate_artifact,
    set_thresholds,
    undo_calibration,
)
from edge_ood.runtime.calibration_report import CalibrationReport
from edge_ood.sources import StoredImages, is_stored

if TYPE_CHECKING:
    from edge_ood.runtime.on_ray import Cluster

__all__ = ["calibrate"]


def calibrate(
    artifact: PathLike,
    images: PathLike | Sequence[str] | None = None,
    *,
    output: PathLike | None = None,
    alpha: float | None = None,
    confidence: float | None = None,
    per_class: bool | None = None,
    combined: bool | None = None,
    thresholds: Mapping[str, float] | None = None,
    undo: bool = False,
    provider: str = "auto",
    cluster: "Cluster | None" = None,
    force: bool = False,
    on_image: Callable[[int], None] = lambda total: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> CalibrationReport:
    """Fit thresholds and p-values anew on ID images of this device, through the file itself.

    What is left out stays as the file holds it. A page beside the file is written anew.

    Args:
        artifact: The artefact.
        images: Folder of ID images that took no part in training; or URLs and archives of them,
            see `edge_ood.sources`; None only with `thresholds` or `undo`.
        output: Where to write; `artifact` is replaced, at once or not at all, if None.
        alpha: False-alarm rate on ID images, in (0, 1).
        confidence: Share of calibration sets for which the rate is held, in [0, 1).
        per_class: Whether the rate is held within each predicted class.
        combined: Whether all scores together decide, too.
        thresholds: Manual thresholds by head, for which no rate is held.
        undo: Go back to the calibration before this one, to the bit.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        cluster: Where images are scored, if not here: an `edge_ood.runtime.on_ray.Cluster`.
        force: Replace what is at `output`, and take images that the file mostly flags.
        on_image: Called after each image with the number of all, 0 where nobody knows it.
        on_note: Called with sentences that you should read.

    Returns:
        The calibration that was in force, and the one that is now.

    Raises:
        UsageError: If there is nothing to calibrate by, or `undo` comes with anything else.
        CalibrationError: If there are too few images, some were trained on, the file flags most
            of them, or a score is not finite.
        ArtifactError: If the file is no artefact or damaged, or there is no earlier calibration.
        DataError: If an image cannot be read.
    """
    changes = Changes(alpha, confidence, per_class, combined, dict(thresholds or {}))
    if undo and (images is not None or changes != Changes()):
        raise UsageError(
            "--undo restores what was held before; give it without images and other options"
        )
    thresholds_alone = changes.thresholds and changes == Changes(thresholds=changes.thresholds)
    if not undo and images is None and not thresholds_alone:
        raise UsageError("give a folder of ID images, or --threshold or --undo alone")
    source, target = Path(artifact), path_or_none(output)
    check_model_file(source)
    # Replacing the artefact itself is the purpose, so only another file needs `force`.
    check_output(target or source, force=force or target is None)
    if images is None and changes.thresholds:
        report = set_thresholds(source, changes.thresholds, output=target)
    elif images is None:
        report = undo_calibration(source, output=target)
    else:
        found, total = _found(images, cluster)
        report = calibrate_artifact(
            source,
            found,
            changes=replace(changes, although_flagged=force),
            output=target,
            provider=provider,
            on_image=lambda: on_image(total),
        )
    for note in report.notes:
        on_note(note)
    renew_export_page(target or source, on_note)
    return report


def _found(
    images: PathLike | Sequence[str], cluster: "Cluster | None"
) -> tuple[Iterable[AnyImage] | Elsewhere, int]:
    """The images, and how many they are, 0 where only reading them would tell."""
    names = [str(images)] if isinstance(images, str | os.PathLike) else [str(i) for i in images]
    files: Iterable[AnyImage]
    if any(map(is_stored, names)):
        files, total = StoredImages(names), 0
    else:
        files = [path for name in names for path in find_images(Path(name))]
        total = len(files)
    if cluster is None:
        return files, total
    from edge_ood.runtime.on_ray import ScoredOnRay  # noqa: PLC0415  # of an optional extra

    return ScoredOnRay(files, cluster), 0
