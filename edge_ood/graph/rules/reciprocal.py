"""Reciprocal."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def reciprocal(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times minus the square of the output."""
    y = node.output[0]
    square = tape.emit("Mul", y, y)
    return tape.emit("Neg", tape.emit("Mul", tape.gradient(node), square))


RULE = Rule(("Reciprocal",), reciprocal)
