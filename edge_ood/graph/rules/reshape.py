"""Operators that keep the order of the elements and change the shape."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import reshape_to
from edge_ood.graph.tape import Tape


def reshape(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient in the shape of the input."""
    return reshape_to(tape, tape.gradient(node), node.input[0])


RULE = Rule(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), reshape)
