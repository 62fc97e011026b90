"""Multiplication, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def mul(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the other factor."""
    product = tape.emit("Mul", tape.gradient(node), node.input[1 - index])
    return sum_to(tape, product, node.output[0], node.input[index])


RULE = Rule(("Mul",), mul)
