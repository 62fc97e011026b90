"""Maximum and minimum over axes."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._reduction import reduced_axes, restored
from edge_ood.graph.tape import Tape


def reduce_max(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the extreme value is, in equal shares where several elements have it."""
    x = node.input[0]
    extreme = restored(tape, node, node.output[0])
    is_extreme = tape.emit("Cast", tape.emit("Equal", x, extreme), to=tape.facts.elem_type(x))
    count = tape.emit(
        "ReduceSum",
        is_extreme,
        tape.integers(reduced_axes(tape, node)),
        keepdims=1,
        noop_with_empty_axes=1,
    )
    share = tape.emit("Div", restored(tape, node, tape.gradient(node)), count)
    return tape.emit("Mul", is_extreme, share)


RULE = Rule(("ReduceMax", "ReduceMin"), reduce_max)
