"""How coarsely a classifier rounds what statistics are fitted to."""

import onnx
from onnx import TensorProto

from edge_ood.graph.draft import drop_unused, start
from edge_ood.graph.shapes import attribute
from edge_ood.scores import FEATURES_PREFIX

__all__ = ["feature_roundoff"]

_HALF_ROUNDOFF = 2.0**-11


def feature_roundoff(classifier: onnx.ModelProto) -> float:
    """Relative rounding error of features: 2^-11 where float16 takes part in them, else 0.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
    """
    draft = start(classifier)
    draft.outputs = [name for name in draft.outputs if name.startswith(FEATURES_PREFIX)]
    drop_unused(draft)
    weights = {tensor.data_type for tensor in draft.weights.values()}
    casts = {attribute(node, "to") for node in draft.nodes if node.op_type == "Cast"}
    return _HALF_ROUNDOFF if TensorProto.FLOAT16 in weights | casts else 0.0
