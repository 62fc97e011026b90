"""Slices at given indices along one axis."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._selection import add_elements, put_back
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def gather(tape: Tape, node: NodeProto, index: int) -> str:
    """Each slice's gradient added to where the slice was taken from."""
    x, indices = node.input[:2]
    axis = attribute(node, "axis", 0) % len(tape.shape(x))
    gradient = _with_one_axis(tape, node, axis)
    known = tape.value(indices)
    if known is not None:
        return put_back(tape, gradient, x, axis, known.reshape(-1).astype(np.int64))
    return _scatter(tape, gradient, x, axis, indices)


def _scatter(tape: Tape, gradient: str, x: str, axis: int, indices: str) -> str:
    """As `put_back`, for indices that are computed from the images or their number."""
    column = [1] * len(tape.shape(x))
    column[axis] = -1
    places = tape.emit("Reshape", indices, tape.integers(column))
    places = tape.emit("Expand", places, tape.emit("Shape", gradient))
    return add_elements(tape, gradient, x, axis, places)


def _with_one_axis(tape: Tape, node: NodeProto, axis: int) -> str:
    """The gradient with one axis in place of all those that the indices brought in."""
    gradient = tape.gradient(node)
    rank = len(tape.shape(node.input[1]))
    if rank == 1:
        return gradient
    if rank == 0:
        return tape.emit("Unsqueeze", gradient, tape.integers([axis]))
    sizes = tape.emit("Shape", gradient)
    first = tape.emit("Slice", sizes, tape.integers([0]), tape.integers([axis]))
    last = tape.emit("Slice", sizes, tape.integers([axis + rank]), tape.integers([2**31 - 1]))
    count = tape.emit("Size", node.input[1])
    middle = tape.emit("Reshape", count, tape.integers([1]))
    return tape.emit("Reshape", gradient, tape.emit("Concat", first, middle, last, axis=0))


RULE = Rule(("Gather",), gather)
