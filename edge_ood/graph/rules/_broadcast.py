"""Shapes of gradients: summing over broadcast axes, spreading, and taking another's shape."""

import numpy as np
from onnx import helper

from edge_ood.graph.shapes import Shape
from edge_ood.graph.tape import Tape


def sum_to(tape: Tape, gradient: str, wide: str, narrow: str) -> str:
    """Sum a gradient of the shape of `wide` over the axes along which `narrow` was repeated."""
    wide_sizes, narrow_sizes = tape.facts.extents(wide), tape.facts.extents(narrow)
    assert wide_sizes is not None
    assert narrow_sizes is not None
    if wide_sizes == narrow_sizes and all(None not in pair for pair in wide_sizes):
        return gradient
    extra = len(wide_sizes) - len(narrow_sizes)
    repeated = [
        extra + axis
        for axis, size in enumerate(narrow_sizes)
        if size == (1, 1) and wide_sizes[extra + axis] != (1, 1)
    ]
    if repeated:
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
    return tape.emit("Reshape", gradient, shape_of(tape, name))


def shape_of(tape: Tape, name: str) -> str:
    """Name of the shape of `name`; a constant where at most one size is open, written -1.

    Only for Reshape: the open size is the one that the number of elements decides.
    """
    sizes = tape.shape(name)
    if sum(size is None for size in sizes) <= 1 and 0 not in sizes:
        return tape.integers(_with_open(sizes))
    return tape.emit("Shape", name)


def ones_like(tape: Tape, name: str) -> str:
    """Ones of the shape and element type of `name`."""
    return _filled(tape, name, 1)


def zeros_like(tape: Tape, name: str) -> str:
    """Zeros of the shape and element type of `name`."""
    return _filled(tape, name, 0)


def _filled(tape: Tape, name: str, value: float) -> str:
    kind = tape.facts.elem_type(name)
    tensor = helper.make_tensor("value", kind, [1], np.array([value], tape.dtype(name)))
    return tape.emit("ConstantOfShape", tape.emit("Shape", name), value=tensor)


def _with_open(sizes: Shape) -> list[int]:
    return [-1 if size is None else size for size in sizes]
