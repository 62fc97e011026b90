"""Whether scores that follow a gradient can follow that of somebody else's network."""

from collections.abc import Sequence

import onnx
from onnx import TensorProto

from edge_ood.errors import InputError
from edge_ood.graph.intake import ImageInput
from edge_ood.graph.sanity import all_nodes
from edge_ood.scores import FEATURES_PREFIX, BoundHead

__all__ = ["check_gradients"]

_QUANTISING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantize", "QLinear", "ConvInteger")
"""Beginnings of the names of operators that round to integers, or read integers as weights."""


def check_gradients(
    heads: Sequence[BoundHead], entry: ImageInput, classifier: onnx.ModelProto
) -> None:
    """Refuse scores that need the gradient of a network that has none.

    Args:
        heads: That were chosen, with their parameters.
        entry: The network's input.
        classifier: The network, as `edge_ood.graph.adopt` gives it.

    Raises:
        InputError: If the network takes whole grey levels, or is quantised; naming the score.
    """
    names = [output.name for output in classifier.graph.output]
    layers = sum(name.startswith(FEATURES_PREFIX) for name in names)
    following = [h for h in heads if h.epsilon or (h.weights_source == "fgsm" and layers > 1)]
    if not following:
        return
    head = following[0]
    hint = f"leave {head.name!r} out of --scores"
    if entry.elem_type == TensorProto.UINT8:
        raise InputError(
            f"score {head.name!r} follows the gradient by fractions of a grey level, and input "
            f"{entry.name!r} takes whole ones (uint8)",
            hint=f"{hint}, or export the classifier with a float input",
        )
    operators = [node.op_type for node in all_nodes(classifier.graph.node)]
    quantised = next((op for op in operators if op.startswith(_QUANTISING)), None)
    if quantised is not None:
        raise InputError(
            f"score {head.name!r} follows a gradient, and a quantised classifier ({quantised}) has "
            "none: rounding is flat between its steps",
            hint=f"{hint}, or attach to the classifier before it is quantised",
        )
