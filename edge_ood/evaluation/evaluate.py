"""How well an artefact tells known images from foreign ones, on folders of both.

Everything is measured on what the artefact itself returns for the files: scores, its own
decisions and its class probabilities. Nothing is tuned here.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ood import metrics, prediction_metrics
from edge_ood.errors import DataError
from edge_ood.evaluation.results import (
    Bootstrap,
    Evaluation,
    HeadOnId,
    IdResult,
    ModelResult,
    OodResult,
    Reliability,
)
from edge_ood.evaluation.sets import MadeImages
from edge_ood.images import ImageSet
from edge_ood.metrics import Misclassification
from edge_ood.registry import Spec
from edge_ood.results import Scores
from edge_ood.runtime import Scorer
from edge_ood.tables.formats import shown_path

__all__ = ["evaluate"]


def evaluate(
    scorers: Mapping[str, Scorer],
    id_images: ImageSet,
    ood: Mapping[str, ImageSet | MadeImages],
    *,
    id_folder: str = "",
    batch_size: int = 32,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Score an ID set and OOD sets and compare them, for every head of every artefact.

    Args:
        scorers: The artefacts, by name.
        id_images: Known images; labels are used if their classes are the artefact's.
        ood: Foreign images by name, files or made ones; their labels are ignored.
        id_folder: Where the known images are, as it was given.
        batch_size: Images per inference.
        on_image: Called after each image, to show progress.

    Raises:
        DataError: If a set is empty, a file is no readable image (it is named), a score is not
            finite (file and head are named), or the classifier learnt from a test image though its
            mode excludes that.
    """
    for name, images in [("ID", id_images), *ood.items()]:
        if not len(images):
            raise DataError(f"set {name!r} has no images, expected at least one")
    models = tuple(
        _measure(name, scorer, id_images, ood, batch_size, on_image)
        for name, scorer in scorers.items()
    )
    return Evaluation(version("edge-ood"), id_folder, models, Bootstrap(0, 0.95, 0), None, True)


def _measure(
    name: str,
    scorer: Scorer,
    id_images: ImageSet,
    ood: Mapping[str, ImageSet | MadeImages],
    batch_size: int,
    on_image: Callable[[], None],
) -> ModelResult:
    inside = _score(scorer, id_images, batch_size, on_image)
    results = {}
    for key, images in ood.items():
        outside = _score(scorer, images, batch_size, on_image)
        results[key] = OodResult(
            n=len(images),
            group="",
            kind="files" if isinstance(images, ImageSet) else "adversarial",
            seen=_seen(scorer, outside),
            mean_max_probability=float(prediction_metrics.max_probability(outside.logits).mean()),
            flagged={h: float(outside.decisions[h].mean()) for h in scorer.heads},
            metrics={
                h: metrics.pair_metrics(inside.scores[h], outside.scores[h]) for h in scorer.heads
            },
        )
    with scorer.path.open("rb") as artefact:
        sha256 = hashlib.file_digest(artefact, "sha256").hexdigest()
    return ModelResult(
        name=name,
        path=shown_path(scorer.path),
        sha256=sha256,
        n_bytes=scorer.path.stat().st_size,
        precision=scorer.metadata.precision,
        heads=tuple(scorer.heads),
        primary=scorer.metadata.primary,
        alpha=_promised_rate(scorer),
        objective=str(_objective(scorer)),
        id=_id_result(scorer, id_images, inside),
        ood=results,
    )


def _promised_rate(scorer: Scorer) -> float:
    calibration = scorer.metadata.calibration
    is_own = scorer.metadata.primary in calibration.own_thresholds
    return math.nan if is_own else calibration.alpha


def _objective(scorer: Scorer) -> Spec:
    """What the artefact says about its training; an empty name where that is nothing usable."""
    provenance = scorer.metadata.provenance
    name, parameters = provenance.get("objective"), provenance.get("objective_parameters")
    if isinstance(name, str) and isinstance(parameters, Mapping):
        return Spec(name, parameters)
    return Spec("")


def _score(
    scorer: Scorer, images: ImageSet | MadeImages, batch_size: int, on_image: Callable[[], None]
) -> Scores:
    if isinstance(images, ImageSet):
        paths = images.paths
        scores = scorer.score_files(images.paths, batch_size=batch_size, on_image=on_image)
    else:
        paths = tuple(Path(f"#{index}") for index in range(len(images)))
        made = images.batches(batch_size, on_image)
        scores = Scores.joined([scorer.score_arrays(b, batch_size=batch_size) for b in made])
    for head, values in scores.scores.items():
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            raise DataError(
                f"score {head!r} of '{paths[broken[0]]}' is {values[broken[0]]}, expected a "
                f"finite number ({len(broken)} of {len(values)} images)",
                hint="edge-ood check FILE.onnx tells whether the artefact is sound here",
            )
    _refuse_pool(scorer, paths, scores)
    return scores


def _refuse_pool(scorer: Scorer, paths: Sequence[Path], scores: Scores) -> None:
    """Hold a classifier that was trained on a pool without test images to that."""
    mode = _objective(scorer).parameters.get("mode")
    if mode != "transductive-split" or "unlabelled" not in scorer.metadata.manifests:
        return
    seen = scorer.metadata.manifests["unlabelled"].overlap(scores.hashes)
    if seen.any():
        raise DataError(
            f"{int(seen.sum())} of {len(seen)} test images are in the pool that this classifier"
            f" learnt from, the first is '{paths[int(seen.argmax())]}', but its mode is {mode!r}",
            hint="test on other images, or train with mode=transductive, which says so",
        )


def _id_result(scorer: Scorer, images: ImageSet, scores: Scores) -> IdResult:
    labels = _artefact_labels(images, scorer.metadata.classes)
    is_right = None if labels is None else scores.label_index == labels
    confidence = prediction_metrics.max_probability(scores.logits)
    return IdResult(
        n=len(images),
        is_labelled=is_right is not None,
        seen=_seen(scorer, scores),
        accuracy=math.nan if is_right is None else prediction_metrics.accuracy(is_right),
        mean_max_probability=float(confidence.mean()),
        mean_max_probability_right=math.nan,
        mean_max_probability_wrong=math.nan,
        rms_calibration_error=math.nan,
        reliability=Reliability(),
        intervals={},
        expected_calibration_error=(
            math.nan
            if is_right is None
            else prediction_metrics.expected_calibration_error(confidence, is_right)
        ),
        heads={
            head: _head_on_id(scores.scores[head], scores.decisions[head], is_right)
            for head in scorer.heads
        },
    )


def _head_on_id(
    scores: NDArray[np.float32], is_ood: NDArray[np.bool_], is_right: NDArray[np.bool_] | None
) -> HeadOnId:
    tpr = metrics.realised_tpr(is_ood)
    if is_right is None:
        nothing = Misclassification(0, 0, math.nan, math.nan, math.nan)
        return HeadOnId(tpr, math.nan, nothing)
    accepted = prediction_metrics.accuracy(is_right[~is_ood]) if tpr > 0 else math.nan
    return HeadOnId(tpr, accepted, metrics.misclassification(scores, is_right))


def _artefact_labels(images: ImageSet, classes: Sequence[str]) -> NDArray[np.int64] | None:
    """Labels (N,) as indices into the artefact's classes; None if there are none."""
    if images.labels is None or not set(images.classes) <= set(classes):
        return None
    position = np.array([classes.index(name) for name in images.classes], np.int64)
    labels: NDArray[np.int64] = position[images.labels]
    return labels


def _seen(scorer: Scorer, scores: Scores) -> dict[str, int]:
    counts = {
        role: int(manifest.overlap(scores.hashes).sum())
        for role, manifest in scorer.metadata.manifests.items()
    }
    return {role: count for role, count in counts.items() if count}
