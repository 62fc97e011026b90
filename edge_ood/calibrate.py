"""The only route to a threshold: ID images through the final file, in onnxruntime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.artifact import Calibration, Manifest, Metadata, store_metadata
from edge_ood.calibration.threshold import Knots, fit_knots, minimum_images, threshold_rank
from edge_ood.errors import ArtifactError, CalibrationError
from edge_ood.output import atomic_output
from edge_ood.runtime import Scorer, Scores

if TYPE_CHECKING:
    import onnx

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
        provider: `auto`, `cpu` or `cuda`.
        on_image: Called after each image, to show progress.

    Raises:
        CalibrationError: If there are too few images for alpha, some were trained on, or a score
            is not finite.
        ArtifactError: If the file is not ours or damaged.
    """
    scorer = Scorer(path, provider=provider, calibrated=False)
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
    manifests = {**metadata.manifests, "calibration": Manifest.of(scores.hashes)}
    changed = replace(metadata, manifests=manifests, provider=scorer.provider)
    _store(path, output or path, changed, calibration, knots, keep_current=True)
    return CalibrationReport(metadata.calibration, calibration, minimum_images(rate), scores, knots)


def undo_calibration(path: Path, *, output: Path | None = None) -> CalibrationReport:
    """Restore the calibration before the current one.

    Raises:
        ArtifactError: If there is no earlier calibration, or its knots are damaged.
    """
    metadata = Scorer(path, provider="cpu").metadata
    if not metadata.history:
        raise ArtifactError(
            f"'{path}' has no earlier calibration to go back to",
            hint="'edge-ood inspect' shows the history",
        )
    earlier = metadata.history[-1]
    knots = earlier.restored_knots()
    restored = replace(earlier, knots={}, weights="")
    changed = replace(metadata, history=metadata.history[:-1])
    _store(path, output or path, changed, restored, knots, keep_current=False)
    needed = minimum_images(restored.alpha)
    return CalibrationReport(metadata.calibration, restored, needed, None, knots)


def _fit(head: str, scores: Scores, alpha: float) -> Knots:
    try:
        return fit_knots(scores.scores[head], alpha)
    except CalibrationError as error:
        raise CalibrationError(f"head {head!r}: {error}", hint=error.hint) from error


def _refuse_trained_on(metadata: Metadata, images: Sequence[Path], hashes: Sequence[str]) -> None:
    for role in ("training", "outliers"):
        seen = metadata.manifests[role].overlap(hashes) if role in metadata.manifests else None
        if seen is not None and seen.any():
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
    calibration: Calibration,
    knots: dict[str, Knots],
    *,
    keep_current: bool,
) -> None:
    import onnx  # noqa: PLC0415  # needed to rewrite a file, not to score

    from edge_ood.graph.assemble import replace_knots  # noqa: PLC0415  # imports onnx

    model = onnx.load(source)
    history = metadata.history
    if keep_current and metadata.calibration.n:
        current = metadata.calibration.archived(_current_knots(model, metadata))
        history = (*history, current)[-_MOST_HISTORY:]
    replace_knots(model, [knots[head] for head in metadata.head_names])
    store_metadata(model, replace(metadata, calibration=calibration, history=history))
    with atomic_output(target) as temporary:
        onnx.save(model, temporary)


def _current_knots(model: "onnx.ModelProto", metadata: Metadata) -> dict[str, Knots]:
    from edge_ood.graph.assemble import read_knots  # noqa: PLC0415  # imports onnx

    return dict(zip(metadata.head_names, read_knots(model), strict=True))
