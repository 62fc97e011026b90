"""The only route to a threshold that holds: ID images through the final file, in onnxruntime."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_ood.artifact.calibration_record import ArchivedCalibration, Calibration
from edge_ood.artifact.metadata import Metadata, store_metadata
from edge_ood.artifact.model_file import ModelFile
from edge_ood.artifact.outputs import Scores
from edge_ood.artifact.packed import Manifest
from edge_ood.calibration.combination import COMBINED, FEWEST_COMBINED
from edge_ood.calibration.decision import Decision, fit_combined, fit_decision
from edge_ood.calibration.guarantee import Changes, Guarantee
from edge_ood.errors import ArtifactError, InputError
from edge_ood.files.output import atomic_output, locked_folder
from edge_ood.files.stored import AnyImage
from edge_ood.images.copies import copies_note, first_of_each
from edge_ood.images.splits import halves_by_hash
from edge_ood.images.thumbnails import thumbnails_note
from edge_ood.runtime.calibration_images import (
    refuse_copies,
    refuse_mostly_flagged,
    refuse_trained_on,
)
from edge_ood.runtime.calibration_report import CalibrationReport
from edge_ood.runtime.probe import make_probe, with_verdicts
from edge_ood.runtime.scorer import BATCH, Scorer
from edge_ood.scores import perturbs
from edge_ood.threads import image_batch

__all__ = ["Elsewhere", "calibrate_artifact", "set_thresholds", "undo_calibration"]

_MOST_HISTORY = 10
_MOST_HISTORY_BYTES = 1 << 22
_NO_CHANGES = Changes()


@runtime_checkable
class Elsewhere(Protocol):
    """Images that other processes score."""

    def scores(self, scorer: Scorer, batch_size: int) -> Scores:
        """What `score_files` gives for all of them: the same numbers in the same order."""


def calibrate_artifact(
    path: Path,
    images: Iterable[AnyImage] | Elsewhere,
    *,
    changes: Changes = _NO_CHANGES,
    output: Path | None = None,
    provider: str = "auto",
    on_image: Callable[[], None] = lambda: None,
) -> CalibrationReport:
    """Fit thresholds and p-values anew on ID images, through the file itself.

    Images count once, however many copies of them there are: the rate is held for images that are
    independent draws, which copies are not. The probe is recorded anew, too: it describes the
    device that the thresholds are for.

    Args:
        path: An artefact.
        images: ID image files that took no part in training; or what scores them elsewhere.
        changes: What is to be held, where that is not what the file holds now.
        output: Where to write; None replaces `path` atomically.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        on_image: Called after each image that is scored here, to show progress.

    Raises:
        CalibrationError: If there are too few images for what is to be held, some were trained
            on, the file as it is flags most, or a score is not finite.
        ExportError: If a score of a probe image is not finite.
        ArtifactError: If the file is no artefact or damaged.
    """
    scorer = Scorer(path, provider=provider, threads=1, calibrated=False)
    metadata = scorer.metadata
    guarantee = changes.applied_to(metadata.calibration.guarantee)
    _check_combined(metadata, guarantee)
    if isinstance(images, Sized):
        guarantee.check_images(len(images))
    batch_size = _batch_size(metadata)
    if isinstance(images, Elsewhere):
        scores = images.scores(scorer, batch_size)
    else:
        scores = scorer.score_files(images, batch_size=batch_size, on_image=on_image)
    guarantee.check_images(len(scores))
    paths = scores.paths
    refuse_trained_on(metadata, paths, scores.hashes)
    counted = first_of_each(scores.hashes)
    refuse_copies(guarantee, counted)
    scores = scores[counted]
    decision, calibration = _fitted(metadata, scores, guarantee, changes.thresholds)
    if not changes.although_flagged:
        refuse_mostly_flagged(metadata, scores)
    changed = replace(
        metadata,
        calibration=calibration,
        manifests={**metadata.manifests, "calibration": Manifest.of(scores.hashes)},
        provider=scorer.provider,
        probe=make_probe(scorer, scores, metadata.probe.seed),
    )
    _store(scorer.file, output or path, changed, decision, archived=metadata)
    notes = (*copies_note(paths, counted, "calibration"), *thumbnails_note(paths))
    return CalibrationReport(output or path, metadata.calibration, changed, scores, decision, notes)


def set_thresholds(
    path: Path, thresholds: Mapping[str, float], *, output: Path | None = None
) -> CalibrationReport:
    """Let manual thresholds decide; p-values stay those of the calibration images.

    No false-alarm rate is held by such a threshold, and `is_ood` is no longer `pvalue <= alpha`.

    Args:
        path: A calibrated artefact.
        thresholds: By head, in the score's own units; flagged is `not (score <= threshold)`.
        output: Where to write; None replaces `path` atomically.

    Raises:
        ArtifactError: If the file is no artefact, damaged or was never calibrated.
        InputError: If there is no such head, or a threshold is no finite number.
    """
    from edge_ood.graph.decision import read_decision  # noqa: PLC0415  # imports onnx
    from edge_ood.graph.loading import model_of  # noqa: PLC0415  # imports onnx

    scorer = Scorer(path, provider="cpu")
    metadata = scorer.metadata
    current = read_decision(model_of(scorer.file), metadata.head_names)
    decision = current.with_thresholds(thresholds)
    changed = replace(metadata, calibration=_with_manual(metadata.calibration, thresholds))
    _store(scorer.file, output or path, changed, decision, archived=metadata)
    return CalibrationReport(output or path, metadata.calibration, changed, None, decision)


def undo_calibration(path: Path, *, output: Path | None = None) -> CalibrationReport:
    """Restore the calibration before the current one, to the bit; again, the one before that.

    Args:
        path: An artefact.
        output: Where to write; None replaces `path` atomically.

    Raises:
        ArtifactError: If there is no earlier calibration.
    """
    scorer = Scorer(path, provider="cpu")
    metadata = scorer.metadata
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
    _store(scorer.file, output or path, changed, decision)
    return CalibrationReport(output or path, metadata.calibration, changed, None, decision)


def _batch_size(metadata: Metadata) -> int:
    """Images per inference: few large ones where a gradient needs all feature maps at a time."""
    if not any(perturbs(head.parameters) for head in metadata.heads):
        return BATCH
    return min(BATCH, image_batch(metadata.preprocess.resized_px, gradient=True))


def _fitted(
    metadata: Metadata, scores: Scores, guarantee: Guarantee, manual: Mapping[str, float]
) -> tuple[Decision, Calibration]:
    """The decision of the images' scores, and what the metadata say about it."""
    num_classes, labels = len(metadata.classes), scores.label_index
    # The score that is combined in the file as it was is made anew.
    of_heads = {head.name: scores.scores[head.name] for head in metadata.heads}
    second = _second_half(scores.hashes, guarantee)

    def fitted(guarantee: Guarantee) -> Decision:
        decision = fit_decision(of_heads, labels, num_classes, guarantee)
        if not guarantee.combined:
            return decision
        return fit_combined(decision, of_heads, labels, ~second, guarantee)

    def counted(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
        counts = np.bincount(labels[chosen], minlength=num_classes).tolist()
        return tuple(counts) if guarantee.per_class and chosen.any() else ()

    decision = fitted(guarantee)
    # What all classes share, also if each has thresholds of its own.
    shared = fitted(replace(guarantee, per_class=False)) if guarantee.per_class else decision
    calibration = Calibration(
        **asdict(guarantee),
        n=len(labels),
        thresholds={head: float(shared.limits(head, labels)[0]) for head in shared.outputs},
        date=_now(),
        class_counts=counted(np.ones(len(labels), np.bool_)),
        combined_n=int(second.sum()),
        combined_class_counts=counted(second),
    )
    return decision.with_thresholds(manual), _with_manual(calibration, manual)


def _second_half(hashes: Sequence[str], guarantee: Guarantee) -> NDArray[np.bool_]:
    """Mask (n,) of the images that set the threshold of the combined score; none without it."""
    if not guarantee.combined:
        return np.zeros(len(hashes), np.bool_)
    # Without copies both halves have enough: they differ by one image at most.
    return ~halves_by_hash(hashes)


def _check_combined(metadata: Metadata, guarantee: Guarantee) -> None:
    """Refuse a combined score of one head, and to drop the one that decides."""
    if guarantee.combined and len(metadata.heads) < FEWEST_COMBINED:
        raise InputError(
            f"{COMBINED!r} combines scores, and this file has {metadata.heads[0].name!r} alone",
            hint="export it with two scores or more",
        )
    if metadata.primary == COMBINED and not guarantee.combined:
        raise InputError(
            f"{COMBINED!r} decides in this file, so it cannot be left out",
            hint="export it with another --primary",
        )


def _with_manual(calibration: Calibration, manual: Mapping[str, float]) -> Calibration:
    """The calibration with manual thresholds, as float32 numbers, for some heads."""
    if not manual:
        return calibration
    stored = {head: float(np.float32(value)) for head, value in manual.items()}
    return replace(
        calibration,
        thresholds={**calibration.thresholds, **stored},
        manual_thresholds=tuple(sorted({*calibration.manual_thresholds, *manual})),
        date=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _store(
    source: ModelFile,
    target: Path,
    metadata: Metadata,
    decision: Decision,
    *,
    archived: Metadata | None = None,
) -> None:
    """Write the file with another decision; the calibration of `archived` goes into its history.

    The probe is told what this decision says of its scores.

    Of two calibrations at a time the second one finds another file than it read, and is refused.
    """
    import onnx  # noqa: PLC0415  # needed to rewrite a file, not to score

    from edge_ood.graph.decision import read_decision, with_decision  # noqa: PLC0415  # imports onnx
    from edge_ood.graph.loading import model_of  # noqa: PLC0415  # imports onnx

    with locked_folder(target), atomic_output(target) as temporary:
        model = model_of(source)
        if archived is not None and archived.calibration.n:
            current = read_decision(model, archived.head_names)
            images = archived.manifests.get("calibration", Manifest())
            past = ArchivedCalibration.of(archived.calibration, images, archived.provider, current)
            past = replace(past, probe=archived.probe)
            metadata = replace(metadata, history=_bounded((*metadata.history, past)))
        metadata = replace(metadata, probe=with_verdicts(metadata.probe, decision))
        model = with_decision(model, decision, primary=metadata.primary)
        store_metadata(model, metadata)
        onnx.save(model, temporary, format="protobuf")


def _bounded(history: tuple[ArchivedCalibration, ...]) -> tuple[ArchivedCalibration, ...]:
    """The latest, the last one whatever its size."""
    sizes = np.cumsum([past.packed_bytes for past in reversed(history)])
    fitting = int((sizes <= _MOST_HISTORY_BYTES).sum())
    return history[-max(1, min(_MOST_HISTORY, fitting)) :]
