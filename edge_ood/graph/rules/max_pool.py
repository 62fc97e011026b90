"""Largest value in a sliding window."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import filled_like, reshape_to
from edge_ood.graph.rules._masks import is_above
from edge_ood.graph.rules._pool_taps import spread_to_maxima
from edge_ood.graph.rules._selection import check_adding
from edge_ood.graph.tape import Tape


def max_pool(tape: Tape, node: NodeProto, index: int) -> str:
    """Each window's gradient added to the element that it chose: of equals, the first."""
    if tape.maker(node.input[0]) != "Relu":
        return _add_at_positions(tape, node, tape.gradient(node))
    # The mask of the activation is cheaper here, where there are fewer elements.
    values = tape.emit("Mul", tape.gradient(node), is_above(tape, node.output[0]))
    gradient = spread_to_maxima(tape, node, values) or _add_at_positions(tape, node, values)
    tape.masked.add(gradient)
    return gradient


def _add_at_positions(tape: Tape, node: NodeProto, values: str) -> str:
    check_adding(tape)
    x = node.input[0]
    everything = tape.integers([-1])
    flat = (filled_like(tape, x, 0), _positions(tape, node), values)
    added = tape.emit(
        "ScatterElements",
        *(tape.emit("Reshape", name, everything) for name in flat),
        axis=0,
        reduction="add",
    )
    return reshape_to(tape, added, x)


def _positions(tape: Tape, node: NodeProto) -> str:
    """Where in the flattened input each maximum stands.

    The pooling runs once more, because the first run is faster without this second output.
    """
    pooled = tape.emit("MaxPool", node.input[0])
    again = tape.builder.nodes[-1]
    again.attribute.extend(a for a in node.attribute if a.name != "storage_order")
    again.output.append(f"{pooled}/positions")
    return str(again.output[1])


RULE = Rule(("MaxPool",), max_pool)
