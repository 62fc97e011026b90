"""The gradient inside a file, checked without autograd: by central differences in float64.

Where a classifier comes as ONNX there is no second implementation of its gradient. What the
gradient says about a direction is held against two evaluations of the classifier as it came.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import append_gradient
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_model,
    network_input_info,
    opset_of,
    record_network,
)
from edge_ood.graph.wide_gradient import in_float32
from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session
from edge_ood.parity.limits import Evaluator
from edge_ood.scores import BoundHead

__all__ = ["GradientReport", "check_gradient"]

_EXTENTS = ((8, 8), (8, 4), (4, 4), (2, 4))
"""Images, and directions from each: the first that takes no longer than `_SECONDS`, or the last.
A single direction that was drawn by chance tells a wrong gradient from a right one, unless it is
nearly across: four are hardly ever all of them."""

_SECONDS = 24.0
"""Of the processor."""
_STEPS = (1e-7, 1e-4)
"""In normalised pixels. The second is tried where the first fails: some operators of onnx's own
evaluator are composed in float32, whose rounding drowns a small step."""

_NOISE = 0.01
"""Added to normalised pixels: in flat areas every maximum is a tie, where no derivative exists."""

_ALLOWED = 0.01
"""Of a gradient's length. Derivatives along normal directions are off by a normal variable whose
standard deviation is the length of the gradient's error, so their root mean squares, of what is
said and what is off, compare the lengths. A float32 gradient through the 50 layers of a sound
ResNet was off by 0.2 %."""

_MOST_KINKS = 0.5
_SEED = 0


@dataclass(frozen=True)
class GradientReport:
    """What differences say about one loss's gradient.

    Attributes:
        head: The head that perturbs.
        output: The classifier output that is read after the step.
        images: Number of images.
        compared: Number of directional derivatives, kinks left out.
        kinks: Derivatives that do not exist, as the slopes on both sides differ.
        worst: Largest error of an image's gradient, a share of its length.
        allowed: Largest that passes.
    """

    head: str
    output: str
    images: int
    compared: int
    kinks: int
    worst: float
    allowed: float

    def to_json(self) -> dict[str, Any]:
        """A document for the metadata."""
        return asdict(self)


def check_gradient(
    classifier: onnx.ModelProto,
    exact: Evaluator,
    head: BoundHead,
    images: Mapping[str, NDArray[np.uint8]],
    preprocess: Preprocess,
    *,
    provider: str = "auto",
) -> list[GradientReport]:
    """Hold the gradient that a head steps along against differences of its loss.

    Args:
        classifier: What the gradient graph is built on.
        exact: The classifier as it came, in float64.
        head: Perturbs, and has its statistics.
        images: uint8 (S, S, 3) by name; 8 are used, fewer where an evaluation takes long.
        preprocess: From pixels to network input.
        provider: Where the gradient runs.

    Returns:
        One report for each loss of the head.

    Raises:
        ExportError: If a gradient is off by more than 1 % of its length, or the loss bends nearly
            everywhere.
    """
    first = np.stack(list(images.values())[:1])
    started = time.process_time()
    exact(preprocess.normalise(first))
    count, ways = _extent(time.process_time() - started)
    pixels = np.stack(list(images.values())[:count])
    names = list(images)[: len(pixels)]
    generator = np.random.default_rng(_SEED)
    points = preprocess.normalise(pixels, np.float32)
    points += _NOISE * generator.normal(size=points.shape).astype(np.float32)
    directions = generator.normal(size=(len(points), ways, *points.shape[1:]))
    gradients = _gradients(classifier, head, points, preprocess, provider)
    said = {
        output: np.einsum("nvchw,nchw->nv", directions, gradient)
        for output, gradient in gradients.items()
    }
    slopes = [
        _slopes(exact, head, points.astype(np.float64), directions, step) for step in _STEPS[:1]
    ]
    if not all(_is_close(said[output], slopes[0][output]) for output in said):
        slopes += [_slopes(exact, head, points.astype(np.float64), directions, _STEPS[1])]
    return [
        _report(head.name, output, names, said[output], [each[output] for each in slopes])
        for output in said
    ]


def _extent(seconds: float) -> tuple[int, int]:
    """How many images and directions an evaluator can afford that takes so long for an image."""
    affordable = [
        (count, ways) for count, ways in _EXTENTS if count * (1 + 2 * ways) * seconds <= _SECONDS
    ]
    return affordable[0] if affordable else _EXTENTS[-1]


@dataclass(frozen=True)
class _Slopes:
    """Difference quotients (N, V) of one loss on both sides of N points along V directions."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def central(self) -> NDArray[np.float64]:
        """Their mean."""
        return (self.before + self.after) / 2

    @property
    def scale(self) -> NDArray[np.float64]:
        """What errors (N, V) are relative to (N, 1): an image's root mean square derivative."""
        typical = np.sqrt((self.central**2).mean(axis=1, keepdims=True))
        return np.asarray(np.maximum(typical, np.finfo(np.float64).tiny))


def _slopes(
    exact: Evaluator,
    head: BoundHead,
    points: NDArray[np.float64],
    directions: NDArray[np.float64],
    step: float,
) -> dict[str, _Slopes]:
    """Slopes of the head's losses at (N, 3, S, S) along (N, V, 3, S, S), by output."""

    def losses(moved: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found: dict[str, NDArray[np.float64]] = head.losses(np, exact(moved))
        return found

    here = losses(points)
    low, high = (
        [losses(points + side * each) for each in directions.swapaxes(0, 1)]
        for side in (-step, step)
    )
    return {
        output: _Slopes(
            before=np.stack([(centre - each[output]) / step for each in low], axis=1),
            after=np.stack([(each[output] - centre) / step for each in high], axis=1),
        )
        for output, centre in here.items()
    }


def _gradients(
    classifier: onnx.ModelProto,
    head: BoundHead,
    points: NDArray[np.floating[Any]],
    preprocess: Preprocess,
    provider: str,
) -> dict[str, NDArray[np.float64]]:
    """Gradients (N, 3, S, S) of the head's losses, by output, from onnxruntime."""
    builder = GraphBuilder()
    # Rounding to float16 is no fault of the gradient, and differences in float64 have none.
    whole = in_float32(classifier)
    losses = head.losses(GraphNamespace(), record_network(builder, whole))
    entry = network_input_info(PREPROCESSED, preprocess)
    opset = opset_of(classifier)
    names = [
        append_gradient(builder, of=loss.name, wrt=PREPROCESSED, inputs=[entry], opset=opset)
        for loss in losses.values()
    ]
    shape = ("N", 3, preprocess.size_px, preprocess.size_px)
    results = [GraphOutput(name, TensorProto.FLOAT, shape) for name in names]
    model = build_model(builder, results, classifier, entry=entry)
    session = open_session(model.SerializeToString(), provider=provider)
    rows = [session.run(names, {PREPROCESSED: point[None]}) for point in points]
    arrays = (np.concatenate(parts).astype(np.float64) for parts in zip(*rows, strict=True))
    return dict(zip(losses, arrays, strict=True))


def _errors(said: NDArray[np.float64], slopes: _Slopes) -> NDArray[np.float64]:
    """Relative errors (N, V); infinite where anything is not a number."""
    error = np.abs(said - slopes.central) / slopes.scale
    return np.where(np.isnan(error), np.inf, error)


def _by_image(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean squares (N,) of errors (N, V) along an image's directions."""
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt((errors**2).mean(axis=1)))


def _is_close(said: NDArray[np.float64], slopes: _Slopes) -> bool:
    return bool((_by_image(_errors(said, slopes)) <= _ALLOWED).all())


def _report(
    head: str,
    output: str,
    names: Sequence[str],
    said: NDArray[np.float64],
    slopes: Sequence[_Slopes],
) -> GradientReport:
    error = np.min([_errors(said, each) for each in slopes], axis=0)
    smallest = slopes[0]
    bends = np.abs(smallest.after - smallest.before) > _ALLOWED * smallest.scale
    kinks = bends & (error > _ALLOWED)
    off = _by_image(np.where(kinks, 0, error))
    image = int(off.argmax())
    worst = float(off[image])
    if worst > _ALLOWED:
        raise ExportError(
            f"the gradient of {head!r} and central differences of {output!r} differ by {worst:.1%} "
            f"(allowed {_ALLOWED:.0%}) for image '{names[image]}'",
            hint=f"nothing was written; leave {head!r} out of --scores, and report the model",
        )
    if kinks.mean() > _MOST_KINKS:
        raise ExportError(
            f"the loss of {head!r} bends at {kinks.sum()} of {kinks.size} places that were tried, "
            "so its gradient cannot be checked",
            hint=f"leave {head!r} out of --scores",
        )
    count = int(kinks.sum())
    return GradientReport(head, output, len(names), kinks.size - count, count, worst, _ALLOWED)
