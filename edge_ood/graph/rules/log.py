"""Natural logarithm."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def log(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient over the input."""
    return tape.emit("Div", tape.gradient(node), node.input[0])


RULE = Rule(("Log",), log)
