"""How coarsely features are rounded, by what leads to them."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.graph.precision import with_float16
from edge_ood.graph.roundoff import feature_roundoff

HALF = 0.5 * float(np.finfo(np.float16).eps)


def test_a_converted_classifier_is_as_coarse_as_float16(colour_classifier: ModelProto) -> None:
    """Its pooling in float32 averages what is rounded already."""
    assert 0 == feature_roundoff(colour_classifier)

    assert feature_roundoff(with_float16(widened(colour_classifier))) == pytest.approx(HALF)


def widened(classifier: ModelProto) -> ModelProto:
    """The classifier with one more convolution, so that there is a backbone to convert."""
    deeper = ModelProto.FromString(classifier.SerializeToString())
    kernel = np.eye(3, dtype=np.float32)[:, :, None, None]
    deeper.graph.initializer.append(numpy_helper.from_array(kernel, "kernel"))
    deeper.graph.node[0].input[0] = "mixed"
    deeper.graph.node.insert(0, helper.make_node("Conv", ["input", "kernel"], ["mixed"]))
    return deeper


def test_float16_behind_the_features_does_not_count(colour_classifier: ModelProto) -> None:
    """Only what leads to them does."""
    model = ModelProto.FromString(colour_classifier.SerializeToString())
    last = model.graph.node[-1]
    last.output[0] = "exact"
    for source, result, kind in (
        ("exact", "half", TensorProto.FLOAT16),
        ("half", "logits", TensorProto.FLOAT),
    ):
        model.graph.node.append(helper.make_node("Cast", [source], [result], to=kind))

    assert 0 == feature_roundoff(model)
