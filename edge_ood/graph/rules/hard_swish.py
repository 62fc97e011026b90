"""x times a piecewise linear logistic function."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._masks import is_below
from edge_ood.graph.tape import Tape

_BEND = 3.0
"""Size of x where the function becomes 0 or x."""


def hard_swish(tape: Tape, node: NodeProto, index: int) -> str:
    """Product g (h + x / 6 where |x| < 3), with h = HardSigmoid(x)."""
    x = node.input[0]
    h = tape.emit("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    square = tape.emit("Mul", x, x)
    inside = is_below(tape, square, _BEND**2, like=x)
    sixth = tape.emit("Mul", tape.emit("Mul", x, inside), tape.per_channel(1 / 6, x))
    return tape.emit("Mul", tape.gradient(node), tape.emit("Add", h, sixth))


RULE = Rule(("HardSwish",), hard_swish)
