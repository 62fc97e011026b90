"""Division, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def div(tape: Tape, node: NodeProto, index: int) -> str:
    """1 / b for the dividend, -(a / b) / b for the divisor."""
    quotient = tape.emit("Div", tape.gradient(node), node.input[1])
    if index == 1:
        quotient = tape.emit("Neg", tape.emit("Mul", quotient, node.output[0]))
    return sum_to(tape, quotient, node.output[0], node.input[index])


RULE = Rule(("Div",), div)
