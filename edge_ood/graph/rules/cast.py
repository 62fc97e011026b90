"""Conversion between floating-point types."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def cast(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient in the element type of the input."""
    kind = tape.facts.elem_type(node.input[0])
    if kind == tape.facts.elem_type(node.output[0]):
        return tape.gradient(node)
    return tape.emit("Cast", tape.gradient(node), to=kind)


RULE = Rule(("Cast", "CastLike"), cast)
