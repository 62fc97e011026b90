"""Piecewise linear logistic function."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._masks import is_above, is_below
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def hard_sigmoid(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the slope where the output is between 0 and 1, 0 elsewhere."""
    y = node.output[0]
    slope = tape.number(attribute(node, "alpha", 0.2), y)
    scaled = tape.emit("Mul", tape.gradient(node), slope)
    inside = tape.emit("Mul", is_above(tape, y), is_below(tape, y, 1.0))
    return tape.emit("Mul", scaled, inside)


RULE = Rule(("HardSigmoid",), hard_sigmoid)
