"""Choice between two tensors, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def where(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the input was chosen, 0 elsewhere."""
    gradient, zero = tape.gradient(node), tape.number(0, node.output[0])
    branches = (gradient, zero) if index == 1 else (zero, gradient)
    chosen = tape.emit("Where", node.input[0], *branches)
    return sum_to(tape, chosen, node.output[0], node.input[index])


RULE = Rule(("Where",), where)
