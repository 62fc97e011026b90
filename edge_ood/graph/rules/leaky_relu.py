"""Rectifiers with a slope for negative inputs."""

from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def leaky_relu(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient, times the slope where the input is negative or zero."""
    x, gradient = node.input[0], tape.gradient(node)
    if index:
        raise ExportError(f"the slope of {node.op_type} node {node.name!r} is no constant")
    if node.op_type == "PRelu":
        slope = node.input[1]
    else:
        slope = tape.number(attribute(node, "alpha", 0.01), x)
    is_positive = tape.emit("Greater", x, tape.number(0, x))
    return tape.emit("Where", is_positive, gradient, tape.emit("Mul", gradient, slope))


RULE = Rule(("LeakyRelu", "PRelu"), leaky_relu)
