"""Error function."""

import math

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def erf(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times 2 / sqrt(pi) exp(-x^2)."""
    x = node.input[0]
    bell = tape.emit("Exp", tape.emit("Neg", tape.emit("Mul", x, x)))
    slope = tape.emit("Mul", bell, tape.number(2 / math.sqrt(math.pi), x))
    return tape.emit("Mul", tape.gradient(node), slope)


RULE = Rule(("Erf",), erf)
