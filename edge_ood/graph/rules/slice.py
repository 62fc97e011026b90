"""Stretches along some axes."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._selection import put_back
from edge_ood.graph.tape import Tape


def slice_(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient put back to where the stretch was taken from, zeros around it."""
    x = node.input[0]
    rank = len(tape.shape(x))
    starts, ends = (tape.constant_value(node, i).tolist() for i in (1, 2))
    axes = _given(tape, node, 3, list(range(len(starts))))
    steps = _given(tape, node, 4, [1] * len(starts))
    gradient = tape.gradient(node)
    for axis, *bounds in zip((a % rank for a in axes), starts, ends, steps, strict=True):
        if _is_everything(bounds):
            continue
        (size,) = tape.sizes(x, range(axis, axis + 1))
        gradient = put_back(tape, gradient, x, axis, np.arange(size)[slice(*bounds)])
    return gradient


def _given(tape: Tape, node: NodeProto, index: int, default: list[int]) -> list[int]:
    value = tape.optional_value(node, index)
    return default if value is None else [int(entry) for entry in value]


def _is_everything(bounds: list[int]) -> bool:
    start, end, step = bounds
    return start == 0 and step == 1 and end >= np.iinfo(np.int32).max


RULE = Rule(("Slice",), slice_)
