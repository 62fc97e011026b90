"""Power, with broadcasting."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def power(tape: Tape, node: NodeProto, index: int) -> str:
    """Slope p x^(p-1) for the base, x^p log x for the exponent (0 where the base is 0)."""
    slope = _by_base(tape, node) if index == 0 else _by_exponent(tape, node)
    product = tape.emit("Mul", tape.gradient(node), slope)
    return sum_to(tape, product, node.output[0], node.input[index])


def _by_base(tape: Tape, node: NodeProto) -> str:
    base, exponent = node.input[:2]
    value = tape.value(exponent)
    if value is not None and np.all(value == 2):
        return tape.emit("Add", base, base)
    if not tape.is_float(exponent) or tape.dtype(exponent) != tape.dtype(base):
        exponent = tape.emit("Cast", exponent, to=tape.facts.elem_type(base))
    lower = tape.emit("Sub", exponent, tape.number(1, base))
    return tape.emit("Mul", exponent, tape.emit("Pow", base, lower))


def _by_exponent(tape: Tape, node: NodeProto) -> str:
    base = node.input[0]
    zero, one = tape.number(0, base), tape.number(1, base)
    # 1 in place of a base of 0 gives log 1 = 0 instead of -inf * 0.
    safe = tape.emit("Where", tape.emit("Equal", base, zero), one, base)
    return tape.emit("Mul", node.output[0], tape.emit("Log", safe))


RULE = Rule(("Pow",), power)
