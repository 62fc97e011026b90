"""Operators whose derivative is zero wherever it exists."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def piecewise_constant(tape: Tape, node: NodeProto, index: int) -> None:
    """No gradient."""


RULE = Rule(("Ceil", "Floor", "Round", "Sign"), piecewise_constant)
