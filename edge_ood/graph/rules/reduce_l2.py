"""Euclidean norm over axes."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._reduction import restored
from edge_ood.graph.tape import Tape


def reduce_l2(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times x over its norm."""
    per_length = tape.emit("Div", tape.gradient(node), node.output[0])
    return tape.emit("Mul", node.input[0], restored(tape, node, per_length))


RULE = Rule(("ReduceL2",), reduce_l2)
