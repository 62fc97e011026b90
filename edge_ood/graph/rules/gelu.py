"""Gaussian error linear unit, an operator since opset 20; older models spell it out."""

import math

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape

_CUBIC = 0.044715
"""Of the tanh approximation, from Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2."""


def gelu(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times P(x) + x P'(x), P being the share of x that the unit lets through."""
    x = node.input[0]
    is_tanh = attribute(node, "approximate", b"none") == b"tanh"
    share, density = (_tanh_share if is_tanh else _erf_share)(tape, x)
    slope = tape.emit("Add", share, tape.emit("Mul", x, density))
    return tape.emit("Mul", tape.gradient(node), slope)


def _erf_share(tape: Tape, x: str) -> tuple[str, str]:
    """The normal distribution function and its density."""
    scaled = tape.emit("Mul", x, tape.number(math.sqrt(0.5), x))
    error = tape.emit("Erf", scaled)
    half = tape.number(0.5, x)
    share = tape.emit("Add", tape.emit("Mul", error, half), half)
    bell = tape.emit("Exp", tape.emit("Neg", tape.emit("Mul", scaled, scaled)))
    return share, tape.emit("Mul", bell, tape.number(1 / math.sqrt(2 * math.pi), x))


def _tanh_share(tape: Tape, x: str) -> tuple[str, str]:
    """Share s = (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + c x^3), and s' = 2 s (1 - s) u'."""
    root = math.sqrt(2 / math.pi)
    square = tape.emit("Mul", x, x)

    def polynomial(constant: float, quadratic: float) -> str:
        return tape.emit(
            "Add",
            tape.emit("Mul", square, tape.number(quadratic, x)),
            tape.number(constant, x),
        )

    # tanh u = 2 sigmoid(2 u) - 1, so s is a logistic function.
    share = tape.emit("Sigmoid", tape.emit("Mul", x, polynomial(2 * root, 2 * root * _CUBIC)))
    falling = tape.emit("Sub", share, tape.emit("Mul", share, share))
    return share, tape.emit("Mul", falling, polynomial(2 * root, 6 * root * _CUBIC))


RULE = Rule(("Gelu",), gelu)
