"""Exponential linear unit."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def elu(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient, times alpha exp(x) = y + alpha where the input is negative or zero."""
    x, y, gradient = node.input[0], node.output[0], tape.gradient(node)
    slope = tape.emit("Add", y, tape.number(attribute(node, "alpha", 1.0), x))
    is_positive = tape.emit("Greater", x, tape.number(0, x))
    return tape.emit("Where", is_positive, gradient, tape.emit("Mul", gradient, slope))


RULE = Rule(("Elu",), elu)
