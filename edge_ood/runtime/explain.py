"""Why an artefact flagged an image or accepted it, out of the file itself. Torch-free."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.artifact.outputs import Scores
from edge_ood.errors import ArtifactError, DataError, InputError
from edge_ood.files.paths import is_folder
from edge_ood.graph.decision import read_decision
from edge_ood.graph.inner_answers import CLASS_INDEX, with_chosen_class
from edge_ood.graph.loading import model_of
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.decoding.open_image import opened_rgb
from edge_ood.images.frames import frames_of, is_picture
from edge_ood.images.preprocess import Preprocess
from edge_ood.images.small_pictures import fitted
from edge_ood.runtime.explanation import ClassAnswer, Explanation, HeadAnswer
from edge_ood.runtime.saliency import gradient_map, occlusion_map, outputs_of
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import BoundHead, heads_where

__all__ = ["explain_image", "seen_box"]

_CLASSES = 3
_PICTURE_PX = 640


class _Look(NamedTuple):
    """An image as it arrived, as it is scored, and as the network gets it."""

    path: Path | None
    size_px: tuple[int, int]
    picture: NDArray[np.uint8]
    frame: NDArray[np.uint8]
    resized: NDArray[np.uint8]


def explain_image(scorer: Scorer, image: Any) -> Explanation:
    """Score one image, and find out what the scores come from.

    Args:
        scorer: The artefact, with all its heads.
        image: A path, a Pillow image, an array (H, W, 3) or a tensor in memory, as `Scorer` takes
            them.

    Raises:
        ArtifactError: If the graph cannot run, or its decision is damaged.
        DataError: If a file is no readable image, or a folder.
        InputError: If it is neither path nor picture, or several of them.
    """
    preprocess, source = scorer.metadata.preprocess, str(scorer.path)
    look = _look(image, preprocess)
    scores = scorer.score_arrays(look.frame[None])
    model = model_of(scorer.file)
    heads = _heads(scorer, model, scores)
    primary = scorer.metadata.primary
    run = {"provider": scorer.provider, "source": source}
    falls = occlusion_map(model, primary, look.resized, preprocess, **run)
    gradient, gradient_head = _gradient(model, heads, look.resized, run)
    distances, nearest_head = _distances(scorer, model, look.frame)
    classes = _classes(scorer, scores, distances)
    return Explanation(
        path=source,
        verdict=replace(scores[0], path=look.path),
        alpha=scorer.metadata.calibration.alpha,
        heads=heads,
        probable=tuple(sorted(classes, key=lambda c: -c.probability)[:_CLASSES]),
        nearest=tuple(sorted(classes, key=_remoteness)[:_CLASSES]),
        nearest_head=nearest_head,
        size_px=look.size_px,
        seen_box=seen_box(preprocess, look.size_px),
        seen_px=preprocess.size_px,
        falls=falls,
        gradient=gradient,
        gradient_head=gradient_head,
        seen=look.resized[preprocess.centre, preprocess.centre],
        picture=look.picture,
    )


def seen_box(preprocess: Preprocess, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what the network sees of an image, in the image's pixels.

    Args:
        preprocess: How images become network input.
        size_px: Width and height of the image.
    """
    seen, short = preprocess.size_px, min(size_px)
    edges = []
    for length in size_px:
        resized = preprocess.resized_px
        if preprocess.cuts_last:
            resized = resized * length // short
        square = length if preprocess.cuts_last or preprocess.resize == "stretch" else short
        start = (length - square) // 2 + round((resized - seen) / 2) * square / resized
        edges.append((start, start + seen * square / resized))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def _look(image: Any, preprocess: Preprocess) -> _Look:
    if is_picture(image):
        frames = frames_of(image)
        if len(frames) != 1:
            raise InputError(f"{len(frames)} images, expected one", hint="images[0] is the first")
        whole = Image.fromarray(frames[0])
        small = np.asarray(fitted(whole, _PICTURE_PX))
        return _Look(None, whole.size, small, frames[0], preprocess.fit(frames[0]))
    if not isinstance(image, str | os.PathLike):
        raise InputError(
            f"cannot explain a {type(image).__name__}, expected one image: a path, an array or a "
            "Pillow image",
            hint="Scorer takes several, and says which are the most suspicious",
        )
    path = Path(image)
    if is_folder(path):
        raise DataError(
            f"'{path}' is a folder, expected one image",
            hint="'edge-ood score' takes folders, and --gallery shows their most suspicious images",
        )
    with image_payload(path) as payload:
        resized = preprocess.decode(payload, f"'{path}'")
        with opened_rgb(payload, f"'{path}'") as whole:
            small, size_px = np.asarray(fitted(whole, _PICTURE_PX)), whole.size
    return _Look(path, size_px, small, resized, resized)


def _heads(scorer: Scorer, model: onnx.ModelProto, scores: Scores) -> tuple[HeadAnswer, ...]:
    """All scores, the smallest p-value first; of equals the one that decides."""
    metadata = scorer.metadata
    decision = read_decision(model, scorer.heads)
    found = [
        HeadAnswer(
            name=name,
            score=float(scores.scores[name][0]),
            pvalue=float(scores.pvalues[name][0]),
            threshold=float(decision.limits(name, scores.label_index)[0]),
            is_ood=bool(scores.decisions[name][0]),
            decides=name == metadata.primary,
            manual=name in metadata.calibration.manual_thresholds,
        )
        for name in scorer.heads
    ]
    return tuple(sorted(found, key=lambda head: (head.pvalue, not head.decides)))


def _gradient(
    model: onnx.ModelProto,
    heads: tuple[HeadAnswer, ...],
    resized: NDArray[np.uint8],
    run: dict[str, str],
) -> tuple[NDArray[np.float64] | None, str]:
    """The gradient of the deciding score, or of the most suspicious that has one."""
    for head in sorted(heads, key=lambda head: not head.decides):
        gradient = gradient_map(model, head.name, resized, **run)
        if gradient is not None:
            return gradient, head.name
    return None, ""


def _classes(
    scorer: Scorer, scores: Scores, distances: NDArray[np.float32] | None
) -> list[ClassAnswer]:
    logits = scores.logits[0].astype(np.float64)
    powers = np.exp((logits - logits.max()) / scorer.metadata.temperature)
    probabilities = powers / powers.sum()
    names = scorer.metadata.classes
    return [
        ClassAnswer(
            name,
            float(logits[k]),
            float(probabilities[k]),
            None if distances is None else float(distances[k]),
        )
        for k, name in enumerate(names)
    ]


def _distances(
    scorer: Scorer, model: onnx.ModelProto, frame: NDArray[np.uint8]
) -> tuple[NDArray[np.float32] | None, str]:
    """Distances to the classes (K,), as a head of the file measures them, and the head's name.

    None and no name where no head does.
    """
    measuring = [head for head in heads_where(_is_distance) if head in scorer.heads]
    made = with_chosen_class(model, measuring[0]) if measuring else None
    if made is None:
        return None, ""
    count = len(scorer.metadata.classes)
    feeds: dict[str, NDArray[Any]] = {INPUT_NAME: frame[None], CLASS_INDEX: np.arange(count)}
    (distances,) = outputs_of(made, feeds, provider=scorer.provider, source=str(scorer.path))
    if distances.shape != (count,):
        raise ArtifactError(
            f"'{scorer.path}' gave distances of shape {distances.shape} to {count} classes",
            hint="export it again",
        )
    return distances, measuring[0]


def _is_distance(bound: BoundHead) -> bool:
    return bound.head.nearest_class


def _remoteness(answer: ClassAnswer) -> float:
    return -answer.logit if answer.distance is None else answer.distance
