"""Sum and mean over axes."""

import math

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import spread_to
from edge_ood.graph.rules._reduction import reduced_axes, restored
from edge_ood.graph.tape import Tape


def reduce_sum(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient repeated over the axes, for a mean divided by the number of elements."""
    x, axes = node.input[0], reduced_axes(tape, node)
    gradient = restored(tape, node, tape.gradient(node))
    if node.op_type == "ReduceMean" and axes:
        gradient = tape.emit("Mul", gradient, _share(tape, x, axes))
    return spread_to(tape, gradient, x, set(range(len(tape.shape(x)))) - set(axes))


def _share(tape: Tape, x: str, axes: list[int]) -> str:
    """1 / number of elements that are averaged."""
    sizes = [tape.shape(x)[axis] for axis in axes]
    if None not in sizes:
        return tape.number(1 / math.prod(s for s in sizes if s is not None), x)
    chosen = tape.emit("Gather", tape.emit("Shape", x), tape.integers(axes))
    count = tape.emit("ReduceProd", chosen, keepdims=0)
    return tape.emit("Reciprocal", tape.emit("Cast", count, to=tape.facts.elem_type(x)))


RULE = Rule(("ReduceMean", "ReduceSum"), reduce_sum)
