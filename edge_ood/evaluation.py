"""How well an artefact tells known images from foreign ones, on folders of both.

Everything is measured on what the artefact itself returns for the files: scores, its own
decisions and its class probabilities. Nothing is tuned here.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ood import metrics
from edge_ood.errors import DataError, InputError
from edge_ood.images import ImageSet
from edge_ood.metrics import Misclassification, PairMetrics
from edge_ood.paths import is_folder
from edge_ood.registry import Spec
from edge_ood.results import Scores
from edge_ood.runtime import Scorer

__all__ = [
    "Evaluation",
    "HeadOnId",
    "IdResult",
    "MadeImages",
    "OodResult",
    "evaluate",
    "name_folders",
]


class MadeImages(Protocol):
    """Images that are no files as they are, such as adversarial ones; `paths` they come from."""

    paths: tuple[Path, ...]

    def __len__(self) -> int: ...

    def batches(self, size: int, on_image: Callable[[], None]) -> Iterator[NDArray[np.uint8]]:
        """Images uint8 (at most `size`, S, S, 3)."""


@dataclass(frozen=True)
class HeadOnId:
    """One score head on the in-distribution (ID) images; rates in [0, 1].

    Attributes:
        realised_tpr: Fraction accepted by the artefact's own threshold.
        accepted_accuracy: Accuracy on the accepted images; NaN without labels or acceptance.
        misclassification: How well the score finds wrong predictions; NaN without labels.
    """

    realised_tpr: float
    accepted_accuracy: float
    misclassification: Misclassification


@dataclass(frozen=True)
class IdResult:
    """What does not depend on an OOD set; rates in [0, 1].

    Attributes:
        n: Number of images.
        is_labelled: Whether every image lies below a folder named after a class.
        seen: By role (such as `training`), how many images had that role for the artefact.
        accuracy: Fraction of right predictions; NaN without labels.
        mean_max_probability: Mean probability of the predicted class.
        expected_calibration_error: Over 15 equal-width bins; NaN without labels.
        heads: By head.
    """

    n: int
    is_labelled: bool
    seen: Mapping[str, int]
    accuracy: float
    mean_max_probability: float
    expected_calibration_error: float
    heads: Mapping[str, HeadOnId]


@dataclass(frozen=True)
class OodResult:
    """One out-of-distribution (OOD) set against the ID images; rates in [0, 1].

    Attributes:
        n: Number of images.
        seen: By role (such as `outliers`), how many images had that role for the artefact.
        mean_max_probability: Mean probability of the predicted class.
        flagged: By head, the fraction flagged by the artefact's own threshold.
        metrics: By head, at all thresholds.
    """

    n: int
    seen: Mapping[str, int]
    mean_max_probability: float
    flagged: Mapping[str, float]
    metrics: Mapping[str, PairMetrics]


@dataclass(frozen=True)
class Evaluation:
    """One artefact on one ID set and any number of OOD sets.

    Attributes:
        heads: Names of the score heads.
        primary: The head behind the artefact's `is_ood`.
        alpha: False-alarm rate the thresholds were calibrated for; `1 - alpha` is promised. NaN
            where the primary head decides by a threshold of the user's own.
        objective: How the classifier was trained, with all parameters; empty where unknown.
        id: The ID set.
        ood: By name of the OOD set.
    """

    heads: tuple[str, ...]
    primary: str
    alpha: float
    objective: str
    id: IdResult
    ood: Mapping[str, OodResult]

    def to_json(self) -> dict[str, Any]:
        """A document of plain values, the fields of the dataclasses; NaN becomes None."""
        document: dict[str, Any] = _without_nan(asdict(self))
        return document


def evaluate(
    scorer: Scorer,
    id_images: ImageSet,
    ood: Mapping[str, ImageSet | MadeImages],
    *,
    batch_size: int = 32,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Score an ID set and OOD sets and compare them, for every head of an artefact.

    Args:
        scorer: The artefact.
        id_images: Known images; labels are used if their classes are the artefact's.
        ood: Foreign images by name, files or made ones; their labels are ignored.
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
    inside = _score(scorer, id_images, batch_size, on_image)
    results = {}
    for name, images in ood.items():
        outside = _score(scorer, images, batch_size, on_image)
        results[name] = OodResult(
            n=len(images),
            seen=_seen(scorer, outside),
            mean_max_probability=float(metrics.max_probability(outside.logits).mean()),
            flagged={h: float(outside.decisions[h].mean()) for h in scorer.heads},
            metrics={
                h: metrics.pair_metrics(inside.scores[h], outside.scores[h]) for h in scorer.heads
            },
        )
    return Evaluation(
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


def name_folders(arguments: Sequence[str], *, taken: Sequence[str] = ()) -> dict[str, Path]:
    """Folders by name, from `NAME=DIR` or `DIR`, in the order given.

    The name of a plain `DIR` is the folder's own, with as many parents before it as it takes to
    tell it from the others. An argument that is a folder as it stands is never split at `=`.

    Raises:
        InputError: If a name or folder is missing, or a name or plain folder is given twice or is
            `taken`.
    """
    pairs = [_split_name(text) for text in arguments]
    named = [name for name, _ in pairs if name]
    plain = [folder.resolve().parts for name, folder in pairs if not name]
    folders: dict[str, Path] = {}
    for name, folder in pairs:
        chosen = name or _shortest_name(folder.resolve().parts, plain, named)
        if not chosen or chosen in folders or chosen in taken:
            raise InputError(
                f"{str(name or folder)!r} is given twice",
                hint="give each OOD set once, or name them with NAME=DIR",
            )
        folders[chosen] = folder
    return folders


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
        scores = scorer.score_files(images.paths, batch_size=batch_size, on_image=on_image)
    else:
        made = images.batches(batch_size, on_image)
        scores = Scores.joined([scorer.score_arrays(b, batch_size=batch_size) for b in made])
    for head, values in scores.scores.items():
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            raise DataError(
                f"score {head!r} of '{images.paths[broken[0]]}' is {values[broken[0]]}, expected a "
                f"finite number ({len(broken)} of {len(values)} images)",
                hint="edge-ood check FILE.onnx tells whether the artefact is sound here",
            )
    _refuse_pool(scorer, images.paths, scores)
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
    confidence = metrics.max_probability(scores.logits)
    return IdResult(
        n=len(images),
        is_labelled=is_right is not None,
        seen=_seen(scorer, scores),
        accuracy=math.nan if is_right is None else metrics.accuracy(is_right),
        mean_max_probability=float(confidence.mean()),
        expected_calibration_error=(
            math.nan
            if is_right is None
            else metrics.expected_calibration_error(confidence, is_right)
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
    accepted = metrics.accuracy(is_right[~is_ood]) if tpr > 0 else math.nan
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


def _split_name(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or is_folder(Path(text)):
        return "", Path(text)
    if not name or not folder:
        raise InputError(f"cannot read OOD set {text!r}", hint="write DIR or NAME=DIR")
    return name, Path(folder)


def _shortest_name(
    parts: tuple[str, ...], plain: Sequence[tuple[str, ...]], named: Sequence[str]
) -> str:
    """The fewest last parts of a path that no other has; empty if the whole path is shared."""
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[-depth:])
        if [other[-depth:] for other in plain].count(parts[-depth:]) == 1 and name not in named:
            return name
    return ""


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
