"""Single elements at given indices along one axis."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._selection import add_elements
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def gather_elements(tape: Tape, node: NodeProto, index: int) -> str:
    """Each element's gradient added to where it was taken from."""
    x, indices = node.input
    axis = attribute(node, "axis", 0)
    return add_elements(tape, tape.gradient(node), x, axis, indices)


RULE = Rule(("GatherElements",), gather_elements)
