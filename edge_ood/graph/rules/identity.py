"""Operators that pass their input through when a network is not being trained."""

from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.rules import Rule
from edge_ood.graph.tape import Tape


def identity(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient itself."""
    training = tape.optional_value(node, 2)
    if training is not None and training.any():
        raise ExportError(
            f"{node.op_type} node {node.name!r} is in training mode",
            hint="export the model after model.eval()",
        )
    return tape.gradient(node)


RULE = Rule(("Identity", "Dropout"), identity)
