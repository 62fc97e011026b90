"""Normalisation over the last axes."""

from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._normalisation import pull_back
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def layer_normalization(tape: Tape, node: NodeProto, index: int) -> str:
    """The scaled gradient without its mean and without its part along the output."""
    if index:
        raise ExportError(f"scale or bias of {node.op_type} node {node.name!r} is no constant")
    x = node.input[0]
    rank = len(tape.shape(x))
    first = attribute(node, "axis", -1) % rank
    gradient = tape.emit("Mul", tape.gradient(node), node.input[1])
    epsilon = attribute(node, "epsilon", 1e-5)
    return pull_back(tape, gradient, x, list(range(first, rank)), epsilon)


RULE = Rule(("LayerNormalization",), layer_normalization)
