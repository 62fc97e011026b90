"""Putting the gradient of chosen slices back to where they came from."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import ExportError
from edge_ood.graph.rules._broadcast import filled_like
from edge_ood.graph.tape import Tape

_OLDEST_OPSET_THAT_ADDS = 16
"""First opset in which ScatterElements adds."""


def put_back(tape: Tape, gradient: str, x: str, axis: int, indices: NDArray[np.integer]) -> str:
    """Gradient by `x` of its slices at 1-D `indices` along one axis; repeated ones add up."""
    (size,) = tape.sizes(x, range(axis, axis + 1))
    indices = np.where(indices < 0, indices + size, indices)
    first = int(indices[0]) if len(indices) else 0
    if np.array_equal(indices, np.arange(first, first + len(indices))):
        return pad_axis(tape, gradient, x, axis, (first, size - first - len(indices)))
    one_hot = (indices[:, None] == np.arange(size)).astype(tape.dtype(x))
    return multiply_axis(tape, gradient, x, axis, tape.weights(one_hot))


def pad_axis(tape: Tape, gradient: str, x: str, axis: int, widths: tuple[int, int]) -> str:
    """The gradient with zeros before and after it along one axis."""
    if widths == (0, 0):
        return gradient
    rank = len(tape.shape(x))
    pads = [0] * 2 * rank
    pads[axis], pads[rank + axis] = widths
    return tape.emit("Pad", gradient, tape.integers(pads))


def multiply_axis(tape: Tape, gradient: str, x: str, axis: int, matrix: str) -> str:
    """The gradient with a matrix (own size, size in `x`) applied along one axis."""
    rank = len(tape.shape(x))
    if axis == rank - 1:
        return tape.emit("MatMul", gradient, matrix)
    perm = [*range(axis), *range(axis + 1, rank), axis]
    moved = tape.emit("MatMul", tape.emit("Transpose", gradient, perm=perm), matrix)
    return tape.emit("Transpose", moved, perm=np.argsort(perm).tolist())


def add_elements(tape: Tape, gradient: str, x: str, axis: int, places: str) -> str:
    """Zeros of the shape of `x` with each element of the gradient added at its index."""
    check_adding(tape)
    zeros = filled_like(tape, x, 0)
    return tape.emit("ScatterElements", zeros, places, gradient, axis=axis, reduction="add")


def check_adding(tape: Tape) -> None:
    """Check that the model's opset can add elements at computed indices.

    Raises:
        ExportError: If it is too old.
    """
    opset = tape.facts.opset
    if opset < _OLDEST_OPSET_THAT_ADDS:
        raise ExportError(
            f"opset {opset} cannot add elements at computed indices,"
            f" expected {_OLDEST_OPSET_THAT_ADDS}",
            hint="onnx.version_converter.convert_version(model, 18) converts it",
        )
