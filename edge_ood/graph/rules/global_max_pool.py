"""Largest value of each channel."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def global_max_pool(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the maximum is, in equal shares where several elements have it."""
    x = node.input[0]
    spatial = tape.integers(range(2, len(tape.shape(x))))
    is_largest = tape.emit(
        "Cast", tape.emit("Equal", x, node.output[0]), to=tape.facts.elem_type(x)
    )
    count = tape.emit("ReduceSum", is_largest, spatial, keepdims=1)
    return tape.emit("Mul", is_largest, tape.emit("Div", tape.gradient(node), count))


RULE = Rule(("GlobalMaxPool",), global_max_pool)
