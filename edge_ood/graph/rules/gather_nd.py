"""Slices at given tuples of indices."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import filled_like
from edge_ood.graph.rules._selection import check_adding
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def gather_nd(tape: Tape, node: NodeProto, index: int) -> str:
    """Each slice's gradient added to where the slice was taken from."""
    check_adding(tape)
    places = _whole_places(tape, node.input[1], attribute(node, "batch_dims", 0))
    zeros = filled_like(tape, node.input[0], 0)
    return tape.emit("ScatterND", zeros, places, tape.gradient(node), reduction="add")


def _whole_places(tape: Tape, indices: str, batch_dims: int) -> str:
    """The index tuples with their own positions along the leading `batch_dims` axes in front."""
    if not batch_dims:
        return indices
    rank = len(tape.shape(indices))
    column = tape.emit("Slice", indices, *map(tape.integers, ([0], [1], [-1])))
    zeros = tape.emit("Mul", column, tape.integers(0))
    sizes = tape.emit("Shape", indices)
    positions = []
    for axis in range(batch_dims):
        size = tape.emit("Gather", sizes, tape.integers(axis))
        steps = tape.emit("Range", tape.integers(0), size, tape.integers(1))
        steps = tape.emit("Reshape", steps, tape.integers([-1] + [1] * (rank - axis - 1)))
        positions.append(tape.emit("Add", zeros, steps))
    return tape.emit("Concat", *positions, indices, axis=-1)


RULE = Rule(("GatherND",), gather_nd)
