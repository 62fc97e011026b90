"""Padding, also with negative widths, which cut off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._selection import multiply_axis
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def pad(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient of every element of the output added to the element that it shows."""
    x = node.input[0]
    rank = len(tape.shape(x))
    widths = tape.constant_value(node, 1).astype(np.int64)
    axes = tape.optional_value(node, 3)
    padded = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    mode = attribute(node, "mode", b"constant").decode()
    gradient = tape.gradient(node)
    for position, axis in enumerate(padded):
        before, after = int(widths[position]), int(widths[len(padded) + position])
        if (before, after) != (0, 0):
            gradient = _unpad(tape, gradient, x, (axis, before, after), mode)
    return gradient


def _unpad(tape: Tape, gradient: str, x: str, where: tuple[int, int, int], mode: str) -> str:
    axis, before, after = where
    (size,) = tape.sizes(x, range(axis, axis + 1))
    if mode == "constant" and min(before, after) >= 0:
        bounds = (tape.integers([v]) for v in (before, before + size, axis))
        return tape.emit("Slice", gradient, *bounds)
    shown = _shown(size, before, after, mode)
    one_hot = (shown[:, None] == np.arange(size)).astype(tape.dtype(x))
    return multiply_axis(tape, gradient, x, axis, tape.weights(one_hot))


def _shown(size: int, before: int, after: int, mode: Any) -> NDArray[np.int64]:
    """Which element each position of the output shows; -1 for the constant."""
    elements = np.arange(size)
    widths = (max(before, 0), max(after, 0))
    constant = {"constant_values": -1} if mode == "constant" else {}
    shown: NDArray[np.int64] = np.pad(elements, widths, mode, **constant)
    return shown[max(-before, 0) : len(shown) - max(-after, 0)]


RULE = Rule(("Pad",), pad)
