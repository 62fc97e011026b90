"""Batch normalisation with fixed statistics."""

import numpy as np
from onnx import NodeProto

from edge_ood.errors import ExportError
from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def batch_normalization(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient times scale / sqrt(variance + epsilon) of its channel."""
    if index or attribute(node, "training_mode", 0):
        raise ExportError(
            f"BatchNormalization node {node.name!r} is in training mode, or its parameters are"
            " computed from the images",
            hint="export the model after model.eval()",
        )
    scale, variance = (tape.constant_value(node, i) for i in (1, 4))
    epsilon = float(attribute(node, "epsilon", 1e-5))
    factor = scale / np.sqrt(variance.astype(np.float64) + epsilon)
    per_channel = (-1,) + (1,) * (len(tape.shape(node.input[0])) - 2)
    array = factor.reshape(per_channel).astype(tape.dtype(node.input[0]))
    return tape.emit("Mul", tape.gradient(node), tape.weights(array))


RULE = Rule(("BatchNormalization",), batch_normalization)
