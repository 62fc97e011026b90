"""Matrix product, batched and with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import reshape_to
from edge_ood.graph.tape import Tape


def mat_mul(tape: Tape, node: NodeProto, index: int) -> str:
    """Product g B^T for the left factor, A^T g for the right one."""
    left, right = node.input
    ranks = len(tape.shape(left)), len(tape.shape(right))
    gradient = tape.gradient(node)
    # A vector is a row on the left and a column on the right; the product lacks that axis.
    if ranks[1] == 1:
        gradient = tape.emit("Unsqueeze", gradient, tape.integers([-1]))
        right = tape.emit("Unsqueeze", right, tape.integers([1]))
    if ranks[0] == 1:
        gradient = tape.emit("Unsqueeze", gradient, tape.integers([-2]))
        left = tape.emit("Unsqueeze", left, tape.integers([0]))
    if index == 0:
        product = tape.emit("MatMul", gradient, _transposed(tape, right, max(ranks[1], 2)))
    else:
        product = tape.emit("MatMul", _transposed(tape, left, max(ranks[0], 2)), gradient)
    return _sum_batch(tape, product, node, index)


def _transposed(tape: Tape, name: str, rank: int) -> str:
    return tape.emit("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _sum_batch(tape: Tape, product: str, node: NodeProto, index: int) -> str:
    """Sum over the axes along which one factor was repeated for the other's batch."""
    own, other = node.input[index], node.input[1 - index]
    own_axes, other_axes = (tape.extents(name)[:-2] for name in (own, other))
    extra = max(len(other_axes) - len(own_axes), 0)
    repeated = [
        axis
        for axis, size in enumerate(other_axes)
        if size != (1, 1) and (axis < extra or own_axes[axis - extra] == (1, 1))
    ]
    if not repeated and not extra and len(tape.shape(own)) > 1:
        return product
    if repeated:
        product = tape.emit("ReduceSum", product, tape.integers(repeated), keepdims=1)
    return reshape_to(tape, product, own)


RULE = Rule(("MatMul",), mat_mul)
