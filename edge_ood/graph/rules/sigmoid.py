"""Logistic function."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def sigmoid(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times y (1 - y)."""
    y = node.output[0]
    slope = tape.emit("Sub", y, tape.emit("Mul", y, y))
    return tape.emit("Mul", tape.gradient(node), slope)


RULE = Rule(("Sigmoid",), sigmoid)
