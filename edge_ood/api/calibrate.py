"""`edge_ood.calibrate`: thresholds anew, on the device, without torch."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from edge_ood.api.plain import PathLike, path_or_none
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import UsageError
from edge_ood.files.output import check_output
from edge_ood.images.folders import find_images
from edge_ood.onnx_session import check_model_file
from edge_ood.report.leave import renew_export_page
from edge_ood.runtime.calibrate import (
    calibrate_artifact,
    set_thresholds,
    undo_calibration,
)
from edge_ood.runtime.calibration_report import CalibrationReport

__all__ = ["calibrate"]


def calibrate(
    artifact: PathLike,
    images: PathLike | None = None,
    *,
    output: PathLike | None = None,
    alpha: float | None = None,
    confidence: float | None = None,
    per_class: bool | None = None,
    combined: bool | None = None,
    thresholds: Mapping[str, float] | None = None,
    undo: bool = False,
    provider: str = "auto",
    force: bool = False,
    on_image: Callable[[int], None] = lambda total: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> CalibrationReport:
    """Fit thresholds and p-values anew on ID images of this device, through the file itself.

    What is left out stays as the file holds it. A page beside the file is written anew.

    Args:
        artifact: The artefact.
        images: Folder of ID images that took no part in training; None only with `thresholds` or
            `undo`.
        output: Where to write; `artifact` is replaced, at once or not at all, if None.
        alpha: False-alarm rate on ID images, in (0, 1).
        confidence: Share of calibration sets for which the rate is held, in [0, 1).
        per_class: Whether the rate is held within each predicted class.
        combined: Whether all scores together decide, too.
        thresholds: Manual thresholds by head, for which no rate is held.
        undo: Go back to the calibration before this one, to the bit.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        force: Replace what is at `output`, and take images that the file mostly flags.
        on_image: Called after each image with the number of all.
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
        paths = find_images(Path(images))
        report = calibrate_artifact(
            source,
            paths,
            changes=replace(changes, although_flagged=force),
            output=target,
            provider=provider,
            on_image=lambda: on_image(len(paths)),
        )
    for note in report.notes:
        on_note(note)
    renew_export_page(target or source, on_note)
    return report
