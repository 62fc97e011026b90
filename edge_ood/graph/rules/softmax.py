"""Softmax along one axis."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def softmax(tape: Tape, node: NodeProto, index: int) -> str:
    """Product y (g - sum(g y)), the sum along the axis."""
    y = node.output[0]
    weighted = tape.emit("Mul", tape.gradient(node), y)
    axis = tape.integers([attribute(node, "axis", -1)])
    total = tape.emit("ReduceSum", weighted, axis, keepdims=1)
    return tape.emit("Sub", weighted, tape.emit("Mul", y, total))


RULE = Rule(("Softmax",), softmax)
