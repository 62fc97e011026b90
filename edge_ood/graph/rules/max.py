"""Elementwise maximum and minimum, with broadcasting."""

from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._broadcast import sum_to
from edge_ood.graph.tape import Tape


def maximum(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient where the input was chosen, in equal shares where several inputs are equal."""
    y = node.output[0]
    chosen = [
        tape.emit("Cast", tape.emit("Equal", name, y), to=tape.facts.elem_type(y))
        for name in node.input
    ]
    count = chosen[0] if len(chosen) == 1 else tape.emit("Sum", *chosen)
    share = tape.emit("Div", tape.emit("Mul", tape.gradient(node), chosen[index]), count)
    return sum_to(tape, share, y, node.input[index])


RULE = Rule(("Max", "Min"), maximum)
