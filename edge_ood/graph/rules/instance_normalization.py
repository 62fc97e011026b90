"""Normalisation of each channel of each image."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._normalisation import pull_back
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def instance_normalization(tape: Tape, node: NodeProto, index: int) -> str:
    """The scaled gradient without its mean and without its part along the output."""
    x = node.input[0]
    rank = len(tape.shape(x))
    scale = tape.constant_value(node, 1).reshape(-1, *[1] * (rank - 2))
    gradient = tape.emit("Mul", tape.gradient(node), tape.weights(np.ascontiguousarray(scale)))
    epsilon = attribute(node, "epsilon", 1e-5)
    return pull_back(tape, gradient, x, list(range(2, rank)), epsilon)


RULE = Rule(("InstanceNormalization",), instance_normalization)
