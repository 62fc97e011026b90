"""Largest value in a sliding window."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import filled_like, reshape_to
from edge_ood.graph.rules._masks import is_above
from edge_ood.graph.rules._selection import check_adding
from edge_ood.graph.tape import Tape


def max_pool(tape: Tape, node: NodeProto, index: int) -> str:
    """Each window's gradient added to the element that it chose: of equals, the first."""
    check_adding(tape)
    x = node.input[0]
    follows_relu = tape.maker(x) == "Relu"
    values = tape.gradient(node)
    if follows_relu:
        # The mask of the activation is cheaper here, where there are fewer elements.
        values = tape.emit("Mul", values, is_above(tape, node.output[0]))
    everything = tape.integers([-1])
    flat = (filled_like(tape, x, 0), _positions(tape, node), values)
    added = tape.emit(
        "ScatterElements",
        *(tape.emit("Reshape", name, everything) for name in flat),
        axis=0,
        reduction="add",
    )
    gradient = reshape_to(tape, added, x)
    if follows_relu:
        tape.masked.add(gradient)
    return gradient


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
