"""Largest value in a sliding window."""

from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import reshape_to, zeros_like
from edge_ood.graph.tape import Tape

_OLDEST_OPSET = 16
"""First opset in which ScatterElements adds."""


def max_pool(tape: Tape, node: NodeProto, index: int) -> str:
    """Each window's gradient added to the element that it chose: of equals, the first."""
    if tape.facts.opset < _OLDEST_OPSET:
        raise ExportError(
            f"the gradient of MaxPool needs opset {_OLDEST_OPSET}, got {tape.facts.opset}",
            hint="onnx.version_converter.convert_version(model, 18) converts it",
        )
    everything = tape.integers([-1])
    positions = tape.emit("Reshape", _positions(tape, node), everything)
    values = tape.emit("Reshape", tape.gradient(node), everything)
    zeros = tape.emit("Reshape", zeros_like(tape, node.input[0]), everything)
    added = tape.emit("ScatterElements", zeros, positions, values, axis=0, reduction="add")
    return reshape_to(tape, added, node.input[0])


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
