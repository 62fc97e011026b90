"""Permutation of axes."""

import numpy as np
from onnx import NodeProto

from edge_ood.graph.rules import Rule
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def transpose(tape: Tape, node: NodeProto, index: int) -> str:
    """The gradient with its axes put back."""
    rank = len(tape.shape(node.input[0]))
    perm = attribute(node, "perm", list(range(rank))[::-1])
    return tape.emit("Transpose", tape.gradient(node), perm=np.argsort(perm).tolist())


RULE = Rule(("Transpose",), transpose)
