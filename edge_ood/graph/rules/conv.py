"""Convolution."""

from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.polyphase import Polyphase
from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._transposed_conv import Kernel, pull_back
from edge_ood.graph.rules._windows import read_window
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def conv(tape: Tape, node: NodeProto, index: int) -> str | Polyphase:
    """The transposed convolution of the gradient."""
    if index:
        raise ExportError(
            f"the weights of Conv node {node.name!r} are computed from the images",
            hint="export the model with fixed weights",
        )
    weights = tape.constant_value(node, 1)
    window = read_window(tape, node, weights.shape[2:])
    kernel = Kernel(weights, attribute(node, "group", 1), window, node.input[1])
    return pull_back(tape, tape.gradient(node), node.input[0], kernel)


RULE = Rule(("Conv",), conv)
