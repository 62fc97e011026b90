"""Addition, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def add(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient itself, summed over the axes along which the input was repeated."""
    return sum_to(tape, tape.gradient(node), node.output[0], node.input[index])


RULE = Rule(("Add", "Sum"), add)
