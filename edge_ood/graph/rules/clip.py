"""Limits from below and above."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._masks import is_above, is_below
from edge_ood.graph.tape import Tape


def clip(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the output lies between the limits, 0 at or beyond them."""
    y, gradient = node.output[0], tape.gradient(node)
    low, high = _limit(tape, node, 1, -np.inf), _limit(tape, node, 2, np.inf)
    if low > -np.inf:
        gradient = tape.emit("Mul", gradient, is_above(tape, y, low))
    if high < np.inf:
        gradient = tape.emit("Mul", gradient, is_below(tape, y, high))
    return gradient


def _limit(tape: Tape, node: NodeProto, index: int, default: float) -> float:
    value = tape.optional_value(node, index)
    return default if value is None else float(value)


RULE = Rule(("Clip",), clip)
