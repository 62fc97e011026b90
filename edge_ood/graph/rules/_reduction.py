"""What all reductions share: which axes, and a result put back beside its input."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def reduced_axes(tape: Tape, node: NodeProto) -> list[int]:
    """Axes that a reduction removes, counted from the front; none where it is a no-op."""
    rank = len(tape.shape(node.input[0]))
    given = tape.optional_value(node, 1)
    axes = attribute(node, "axes") if given is None else given
    if axes is None or np.size(axes) == 0:
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    return sorted(int(axis) % rank for axis in axes)


def restored(tape: Tape, node: NodeProto, name: str) -> str:
    """A tensor of the shape of the reduction's output, with the removed axes back as 1."""
    axes = reduced_axes(tape, node)
    if attribute(node, "keepdims", 1) or not axes:
        return name
    return tape.emit("Unsqueeze", name, tape.integers(axes))
