"""Absolute value."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def absolute(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the sign of the input; 0 at 0, as PyTorch has it."""
    return tape.emit("Mul", tape.gradient(node), tape.emit("Sign", node.input[0]))


RULE = Rule(("Abs",), absolute)
