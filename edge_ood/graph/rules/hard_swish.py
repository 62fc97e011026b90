"""x times a piecewise linear logistic function."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._masks import is_above, is_below
from edge_ood.graph.tape import Tape


def hard_swish(tape: Tape, node: NodeProto, index: int) -> str:
    """Product g (h + x / 6 where |x| < 3), with h = HardSigmoid(x)."""
    x = node.input[0]
    h = tape.emit("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    inside = tape.emit("Mul", is_above(tape, h, like=x), is_below(tape, h, 1.0, like=x))
    sixth = tape.emit("Mul", x, tape.number(1 / 6, x))
    slope = tape.emit("Add", h, tape.emit("Mul", sixth, inside))
    return tape.emit("Mul", tape.gradient(node), slope)


RULE = Rule(("HardSwish",), hard_swish)
