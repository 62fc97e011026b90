"""log(1 + exp(x))."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def softplus(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the logistic function."""
    return tape.emit("Mul", tape.gradient(node), tape.emit("Sigmoid", node.input[0]))


RULE = Rule(("Softplus",), softplus)
