"""Sum of squares over axes."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._reduction import restored
from edge_ood.graph.tape import Tape


def reduce_sum_square(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times 2 x."""
    x = node.input[0]
    return tape.emit("Mul", tape.emit("Add", x, x), restored(tape, node, tape.gradient(node)))


RULE = Rule(("ReduceSumSquare",), reduce_sum_square)
