"""Splitting along one axis."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import filled_like
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def split(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradients of all pieces side by side, zeros for a piece that has none."""
    pieces = [tape.collected(name) or filled_like(tape, name, 0) for name in node.output]
    return tape.emit("Concat", *pieces, axis=attribute(node, "axis", 0))


RULE = Rule(("Split",), split, all_outputs=True)
