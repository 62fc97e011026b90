"""The only route to a threshold: ID images through the final file, in onnxruntime."""

from collections.abc import Callable, Sequence
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
from edge_ood.calibration.decision import Decision, fit_decision
from edge_ood.calibration.guarantee import Changes
from edge_ood.errors import ArtifactError, CalibrationError
from edge_ood.output import atomic_output
from edge_ood.probe import make_probe
from edge_ood.results import Scores
from edge_ood.runtime import Scorer

__all__ = ["CalibrationReport", "calibrate_artifact", "undo_calibration"]

_MOST_HISTORY = 10


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration did.

    Attributes:
        before: The calibration that was in force.
        metadata: Of the file as it is now.
        scores: Of the calibration images; None after an undo.
        decision: As stored in the graph.
    """

    before: Calibration
    metadata: Metadata
    scores: Scores | None
    decision: Decision

    @property
    def after(self) -> Calibration:
        """The calibration that is in force now."""
        return self.metadata.calibration


def calibrate_artifact(
    path: Path,
    images: Sequence[Path],
    *,
    changes: Changes | None = None,
    output: Path | None = None,
    provider: str = "auto",
    on_image: Callable[[], None] = lambda: None,
) -> CalibrationReport:
    """Fit thresholds and p-values anew on ID images, through the file itself.

    The probe is recorded anew, too: it describes the device that the thresholds are for.

    Args:
        path: An artefact.
        images: ID image files that took no part in training.
        changes: What is to be held, where that is not what the file holds now.
        output: Where to write; None replaces `path` atomically.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        on_image: Called after each image, to show progress.

    Raises:
        CalibrationError: If there are too few images for what is to be held, some were trained
            on, or a score is not finite.
        ExportError: If a score of a probe image is not finite.
        ArtifactError: If the file is not ours or damaged.
    """
    scorer = Scorer(path, provider=provider, threads=1, calibrated=False)
    metadata = scorer.metadata
    guarantee = (changes or Changes()).applied_to(metadata.calibration.guarantee)
    guarantee.check_images(len(images))
    scores = scorer.score_files(images, on_image=on_image)
    _refuse_trained_on(metadata, images, scores.hashes)
    decision = fit_decision(scores.scores, len(metadata.classes), guarantee)
    calibration = Calibration(
        alpha=guarantee.alpha,
        n=len(images),
        thresholds=dict(zip(decision.heads, decision.thresholds[:, 0].tolist(), strict=True)),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        confidence=guarantee.confidence,
    )
    changed = replace(
        metadata,
        calibration=calibration,
        manifests={**metadata.manifests, "calibration": Manifest.of(scores.hashes)},
        provider=scorer.provider,
        probe=make_probe(scorer, scores, metadata.probe.seed),
    )
    _store(path, output or path, changed, decision, archived=metadata)
    return CalibrationReport(metadata.calibration, changed, scores, decision)


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
    decision = earlier.decision()
    changed = replace(
        metadata,
        calibration=earlier.calibration,
        manifests={**metadata.manifests, "calibration": earlier.images},
        provider=earlier.provider,
        probe=earlier.probe if earlier.probe.labels else metadata.probe,
        history=tuple(history),
    )
    _store(path, output or path, changed, decision)
    return CalibrationReport(metadata.calibration, changed, None, decision)


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
    decision: Decision,
    *,
    archived: Metadata | None = None,
) -> None:
    """Write the file with another decision; the calibration of `archived` goes into its history."""
    import onnx  # noqa: PLC0415  # needed to rewrite a file, not to score

    from edge_ood.graph.decision import read_decision, with_decision  # noqa: PLC0415  # imports onnx
    from edge_ood.graph.loading import load_model_file  # noqa: PLC0415  # imports onnx

    model = load_model_file(source)
    if archived is not None and archived.calibration.n:
        current = read_decision(model, archived.head_names)
        images = archived.manifests.get("calibration", Manifest())
        past = ArchivedCalibration.of(archived.calibration, images, archived.provider, current)
        past = replace(past, probe=archived.probe)
        metadata = replace(metadata, history=(*metadata.history, past)[-_MOST_HISTORY:])
    model = with_decision(model, decision.of_heads(metadata.head_names), primary=metadata.primary)
    store_metadata(model, metadata)
    with atomic_output(target) as temporary:
        onnx.save(model, temporary, format="protobuf")
