"""Hyperbolic tangent."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def tanh(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times 1 - y^2."""
    y = node.output[0]
    slope = tape.emit("Sub", tape.number(1, y), tape.emit("Mul", y, y))
    return tape.emit("Mul", tape.gradient(node), slope)


RULE = Rule(("Tanh",), tanh)
