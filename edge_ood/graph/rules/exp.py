"""Exponential."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def exp(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the output."""
    return tape.emit("Mul", tape.gradient(node), node.output[0])


RULE = Rule(("Exp",), exp)
