"""Concatenation."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def concat(tape: Tape, node: NodeProto, index: int) -> str:
    """The input's stretch of the gradient."""
    axis = attribute(node, "axis")
    axis %= len(tape.shape(node.output[0]))
    start = sum(tape.sizes(name, range(axis, axis + 1))[0] for name in node.input[:index])
    (size,) = tape.sizes(node.input[index], range(axis, axis + 1))
    bounds = (tape.integers([v]) for v in (start, start + size, axis))
    return tape.emit("Slice", tape.gradient(node), *bounds)


RULE = Rule(("Concat",), concat)
