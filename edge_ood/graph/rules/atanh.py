"""Inverse hyperbolic tangent."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def atanh(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient over 1 - x^2."""
    x = node.input[0]
    slope = tape.emit("Sub", tape.number(1, x), tape.emit("Mul", x, x))
    return tape.emit("Div", tape.gradient(node), slope)


RULE = Rule(("Atanh",), atanh)
