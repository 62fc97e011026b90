"""Negation."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def neg(tape: Tape, node: NodeProto, index: int) -> str:
    """The negative gradient."""
    return tape.emit("Neg", tape.gradient(node))


RULE = Rule(("Neg",), neg)
