"""Which parts of an image a score comes from: by covering them, and by the file's own gradient."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.graph.inner_answers import with_gradients
from edge_ood.graph.simplify import prune
from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session, translated_errors
from edge_ood.threads import slices

__all__ = ["GRID", "gradient_map", "occlusion_map", "outputs_of", "patch_edges"]

GRID = 8
"""Patches along a side of what the network sees; fewer only where it has fewer pixels."""

_BATCH = 8
_ROUNDING = 1e-5
"""Changes below this share of a score are those of another order of sums."""


def outputs_of(
    model: onnx.ModelProto, feeds: dict[str, NDArray[Any]], *, provider: str, source: str
) -> list[NDArray[Any]]:
    """All outputs of a model that was made in memory.

    Args:
        model: What to run, once.
        feeds: Its inputs by name.
        provider: Where to run it.
        source: The artefact that it is made of, for messages.

    Raises:
        ArtifactError: If it cannot run.
    """
    session = open_session(model.SerializeToString(), provider=provider, source=source)
    with translated_errors(f"'{source}' cannot run"):
        results: list[NDArray[Any]] = session.run(None, feeds)
    return results


def patch_edges(size_px: int) -> NDArray[np.intp]:
    """Where patches begin along a side of so many pixels, and where the last ends (G + 1,)."""
    return np.linspace(0, size_px, min(GRID, size_px) + 1).round().astype(np.intp)


def occlusion_map(
    model: onnx.ModelProto,
    score: str,
    resized: NDArray[np.uint8],
    preprocess: Preprocess,
    *,
    provider: str,
    source: str,
) -> NDArray[np.float64]:
    """How far a score falls when a patch of the image is covered with the image's mean colour.

    Args:
        model: An artefact.
        score: Name of one of its scores.
        resized: The image (R, R, 3), as `Preprocess.decode` gives it.
        preprocess: Of the artefact; patches are of what the network sees.
        provider: Where to run it.
        source: The artefact's file, for messages.

    Returns:
        Differences (G, G) in units of the score, by row and column of patches: positive where the
        score is lower without the patch, so the image is more suspicious because of it. Zero where
        the difference is no finite number, or lost in rounding.

    Raises:
        ArtifactError: If the graph cannot run.
    """
    edges = preprocess.centre.start + patch_edges(preprocess.size_px)
    count = len(edges) - 1
    seen = resized[preprocess.centre, preprocess.centre]
    colour = seen.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    variants = np.repeat(resized[None], 1 + count**2, axis=0)
    for index in range(count**2):
        row, column = divmod(index, count)
        down, across = slice(*edges[row : row + 2]), slice(*edges[column : column + 2])
        variants[1 + index, down, across] = colour
    content = prune(model, [score]).SerializeToString()
    session = open_session(content, provider=provider, source=source)
    with translated_errors(f"'{source}' cannot run"):
        parts = [
            session.run([score], {INPUT_NAME: variants[part]})[0]
            for part in slices(len(variants), _BATCH)
        ]
    scores = np.concatenate(parts).astype(np.float64)
    falls: NDArray[np.float64] = np.nan_to_num(
        scores[0] - scores[1:], nan=0.0, posinf=0.0, neginf=0.0
    )
    falls[np.abs(falls) <= _ROUNDING * np.abs(scores[0])] = 0
    return falls.reshape(count, count)


def gradient_map(
    model: onnx.ModelProto,
    head: str,
    resized: NDArray[np.uint8],
    *,
    provider: str,
    source: str,
) -> NDArray[np.float64] | None:
    """How much the loss that a head moves an image against depends on each pixel.

    Args:
        model: An artefact.
        head: One of its heads.
        resized: The image (R, R, 3), as `Preprocess.decode` gives it.
        provider: Where to run it.
        source: The artefact's file, for messages.

    Returns:
        Size of the gradient (S, S), summed over channels, from 0 to 1; of several layers the mean
        of theirs. None where the head moves no image, so that the graph has no gradient.

    Raises:
        ArtifactError: If the graph cannot run.
    """
    made = with_gradients(model, head)
    if made is None:
        return None
    found = outputs_of(made, {INPUT_NAME: resized[None]}, provider=provider, source=source)
    sizes = [
        np.abs(np.nan_to_num(gradient[0].astype(np.float64))).sum(axis=0) for gradient in found
    ]
    return _to_one(np.mean([_to_one(size) for size in sizes], axis=0))


def _to_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = float(values.max())
    return values / largest if largest > 0 else values
