"""Shapes of gradients: summing over broadcast axes, spreading, and taking another's shape."""

import math

from onnx import helper

from edge_ood.graph.tape import Tape

_PLANAR = 4
"""Rank of a feature map (N, C, H, W)."""


def sum_to(tape: Tape, gradient: str, wide: str, narrow: str) -> str:
    """Sum a gradient of the shape of `wide` over the axes along which `narrow` was repeated."""
    wide_sizes, narrow_sizes = tape.extents(wide), tape.extents(narrow)
    if wide_sizes == narrow_sizes and all(None not in pair for pair in wide_sizes):
        return gradient
    extra = len(wide_sizes) - len(narrow_sizes)
    repeated = [
        extra + axis
        for axis, size in enumerate(narrow_sizes)
        if size == (1, 1) and wide_sizes[extra + axis] != (1, 1)
    ]
    if repeated == [2, 3] and len(wide_sizes) == _PLANAR and None not in tape.shape(wide)[2:]:
        # A sum over all positions, in the form that leaves the blocked layout alone.
        positions = math.prod(tape.sizes(wide, range(2, _PLANAR)))
        mean = tape.emit("GlobalAveragePool", gradient)
        gradient = tape.emit("Mul", mean, tape.number(positions, wide))
    elif repeated:
        gradient = tape.emit("ReduceSum", gradient, tape.integers(repeated), keepdims=1)
    if extra:
        leading = tape.integers(range(extra))
        gradient = tape.emit("ReduceSum", gradient, leading, keepdims=0)
    return gradient


def spread_to(tape: Tape, gradient: str, name: str, kept: frozenset[int] | set[int]) -> str:
    """Repeat a gradient to the shape of `name`; along `kept` axes it has that shape already."""
    sizes = tape.shape(name)
    target = [1 if axis in kept else size for axis, size in enumerate(sizes)]
    if None in target:
        return tape.emit("Expand", gradient, tape.emit("Shape", name))
    return tape.emit("Expand", gradient, tape.integers(target))


def reshape_to(tape: Tape, gradient: str, name: str) -> str:
    """Reshape a gradient to the shape of `name`."""
    sizes = [-1 if size is None else size for size in tape.shape(name)]
    if sizes.count(-1) > 1 or 0 in sizes:
        return tape.emit("Reshape", gradient, tape.emit("Shape", name))
    return tape.emit("Reshape", gradient, tape.integers(sizes))


def filled_like(tape: Tape, name: str, value: float) -> str:
    """One number in the shape and element type of `name`."""
    tape.dtype(name)  # refuses a tensor of which nothing is known
    tensor = helper.make_tensor("value", tape.facts.elem_type(name), [1], [value])
    return tape.emit("ConstantOfShape", tape.emit("Shape", name), value=tensor)
