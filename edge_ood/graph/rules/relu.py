"""Relu."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._masks import is_above
from edge_ood.graph.tape import Tape


def relu(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the output is positive, 0 elsewhere."""
    gradient = tape.gradient(node)
    if gradient in tape.masked:
        return gradient
    return tape.emit("Mul", gradient, is_above(tape, node.output[0]))


RULE = Rule(("Relu",), relu)
