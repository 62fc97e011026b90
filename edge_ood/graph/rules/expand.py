"""Broadcasting to a shape."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def expand(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient summed over the axes along which the input was repeated."""
    return sum_to(tape, tape.gradient(node), node.output[0], node.input[0])


RULE = Rule(("Expand",), expand)
