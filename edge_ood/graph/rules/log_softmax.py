"""Logarithm of the softmax along one axis."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def log_softmax(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient minus exp(y) sum(g), the sum along the axis."""
    gradient = tape.gradient(node)
    axis = tape.integers([attribute(node, "axis", -1)])
    total = tape.emit("ReduceSum", gradient, axis, keepdims=1)
    return tape.emit("Sub", gradient, tape.emit("Mul", tape.emit("Exp", node.output[0]), total))


RULE = Rule(("LogSoftmax",), log_softmax)
