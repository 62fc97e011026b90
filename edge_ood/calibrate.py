"""The only route to a threshold: ID images through the final file, in onnxruntime."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edge_ood.artifact import (
    ArchivedCalibration,
    Calibration,
    Manifest,
    Metadata,
    store_metadata,
)
from edge_ood.calibration.threshold import Knots, fit_knots, minimum_images, threshold_rank
from edge_ood.errors import ArtifactError, CalibrationError
from edge_ood.output import atomic_output
from edge_ood.results import Scores
from edge_ood.runtime import Scorer

__all__ = ["CalibrationReport", "calibrate_artifact", "undo_calibration"]

_MOST_HISTORY = 10


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration did.

    Attributes:
        before: The calibration that was in force.
        after: The one that is now.
        needed: Images that its alpha needs at least.
        scores: Of the calibration images; None after an undo.
        knots: By head, as stored.
    """

    before: Calibration
    after: Calibration
    needed: int
    scores: Scores | None
    knots: dict[str, Knots]


def calibrate_artifact(
    path: Path,
    images: Sequence[Path],
    *,
    alpha: float | None = None,
    output: Path | None = None,
    provider: str = "auto",
    on_image: Callable[[], None] = lambda: None,
) -> CalibrationReport:
    """Fit thresholds and p-values anew on ID images, through the file itself.

    Args:
        path: An artefact.
        images: ID image files that took no part in training.
        alpha: False-alarm rate; None keeps the file's.
        output: Where to write; None replaces `path` atomically.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        on_image: Called after each image, to show progress.

    Raises:
        CalibrationError: If there are too few images for alpha, some were trained on, or a score
            is not finite.
        ArtifactError: If the file is not ours or damaged.
    """
    scorer = Scorer(path, provider=provider, threads=1, calibrated=False)
    metadata = scorer.metadata
    rate = metadata.calibration.alpha if alpha is None else alpha
    threshold_rank(len(images), rate)
    scores = scorer.score_files(images, on_image=on_image)
    _refuse_trained_on(metadata, images, scores.hashes)
    knots = {head: _fit(head, scores, rate) for head in scorer.heads}
    calibration = Calibration(
        alpha=rate,
        n=len(images),
        thresholds={head: k.threshold for head, k in knots.items()},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    changed = replace(
        metadata,
        calibration=calibration,
        manifests={**metadata.manifests, "calibration": Manifest.of(scores.hashes)},
        provider=scorer.provider,
    )
    _store(path, output or path, changed, knots, archived=metadata)
    return CalibrationReport(metadata.calibration, calibration, minimum_images(rate), scores, knots)


def undo_calibration(path: Path, *, output: Path | None = None) -> CalibrationReport:
    """Restore the calibration before the current one, to the bit; again, the one before that.

    Args:
        path: An artefact.
        output: Where to write; None replaces `path` atomically.

    Raises:
        ArtifactError: If there is no earlier calibration.
    """
    metadata = Scorer(path, provider="cpu").metadata
    if not metadata.history:
        raise ArtifactError(
            f"'{path}' has no earlier calibration to go back to",
            hint="'edge-ood inspect' shows the history",
        )
    *history, earlier = metadata.history
    restored = earlier.calibration
    knots = earlier.restored_knots()
    changed = replace(
        metadata,
        calibration=restored,
        manifests={**metadata.manifests, "calibration": earlier.images},
        provider=earlier.provider,
        history=tuple(history),
    )
    _store(path, output or path, changed, knots)
    needed = minimum_images(restored.alpha)
    return CalibrationReport(metadata.calibration, restored, needed, None, knots)


def _fit(head: str, scores: Scores, alpha: float) -> Knots:
    try:
        return fit_knots(scores.scores[head], alpha)
    except CalibrationError as error:
        raise CalibrationError(f"head {head!r}: {error}", hint=error.hint) from error


def _refuse_trained_on(metadata: Metadata, images: Sequence[Path], hashes: Sequence[str]) -> None:
    for role, manifest in metadata.manifests.items():
        seen = manifest.overlap(hashes)
        if role != "calibration" and seen.any():
            first = images[int(seen.argmax())]
            raise CalibrationError(
                f"{int(seen.sum())} of {len(images)} calibration images are {role} images of this "
                f"classifier, the first is '{first}'",
                hint="calibrate with ID images that took no part in training",
            )


def _store(
    source: Path,
    target: Path,
    metadata: Metadata,
    knots: Mapping[str, Knots],
    *,
    archived: Metadata | None = None,
) -> None:
    """Write the file with new thresholds; the calibration of `archived` goes into its history."""
    import onnx  # noqa: PLC0415  # needed to rewrite a file, not to score

    from edge_ood.graph.assemble import read_knots, replace_knots  # noqa: PLC0415  # imports onnx

    # A named format: onnx would guess another from an ending such as .json.
    model = onnx.load(source, format="protobuf")
    if archived is not None and archived.calibration.n:
        current = dict(zip(archived.head_names, read_knots(model), strict=True))
        images = archived.manifests.get("calibration", Manifest())
        past = ArchivedCalibration.of(archived.calibration, images, archived.provider, current)
        metadata = replace(metadata, history=(*metadata.history, past)[-_MOST_HISTORY:])
    replace_knots(model, [knots[head] for head in metadata.head_names])
    store_metadata(model, metadata)
    with atomic_output(target) as temporary:
        onnx.save(model, temporary, format="protobuf")
