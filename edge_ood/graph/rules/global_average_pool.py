"""Mean over all positions of each channel."""

import math

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import spread_to
from edge_ood.graph.tape import Tape


def global_average_pool(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient over the number of positions, repeated to all of them."""
    x = node.input[0]
    positions = math.prod(tape.sizes(x, range(2, len(tape.shape(x)))))
    share = tape.emit("Mul", tape.gradient(node), tape.number(1 / positions, x))
    return spread_to(tape, share, x, {0, 1})


RULE = Rule(("GlobalAveragePool",), global_average_pool)
