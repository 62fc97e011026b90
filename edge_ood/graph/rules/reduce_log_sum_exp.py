"""Logarithm of the sum of exponentials over axes."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._reduction import restored
from edge_ood.graph.tape import Tape


def reduce_log_sum_exp(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times the softmax over the axes, exp(x - y)."""
    y, gradient = (restored(tape, node, n) for n in (node.output[0], tape.gradient(node)))
    share = tape.emit("Exp", tape.emit("Sub", node.input[0], y))
    return tape.emit("Mul", share, gradient)


RULE = Rule(("ReduceLogSumExp",), reduce_log_sum_exp)
