"""Subtraction, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def sub(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient for the minuend, its negative for the subtrahend."""
    gradient = sum_to(tape, tape.gradient(node), node.output[0], node.input[index])
    return gradient if index == 0 else tape.emit("Neg", gradient)


RULE = Rule(("Sub",), sub)
