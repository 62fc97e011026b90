"""Square root."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def sqrt(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient over twice the output."""
    root = node.output[0]
    return tape.emit("Div", tape.gradient(node), tape.emit("Add", root, root))


RULE = Rule(("Sqrt",), sqrt)
