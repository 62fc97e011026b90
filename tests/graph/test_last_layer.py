"""W and b of a classifier's last layer, held against the weights that it was made of."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.graph.last_layer import last_layer

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.normal(size=(5, 7)), RNG.normal(size=5)
OTHER = RNG.normal(size=(5, 7))


def classifier(
    tail: Sequence[NodeProto], features: str = "pooled", **constants: np.ndarray
) -> onnx.ModelProto:
    """Input (N, 7, 2, 2) -> mean over space, (N, 7, 1, 1) -> `tail` from `pooled` to `logits`."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
        *tail,
        helper.make_node("Flatten", [features], ["features/penultimate"]),
    ]
    arrays = {"W": WEIGHT, "V": OTHER, "b": BIAS, **constants}
    initializers = [
        numpy_helper.from_array(np.asarray(a, np.float32 if a.dtype.kind == "f" else a.dtype), name)
        for name, a in arrays.items()
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 7, 2, 2])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5]),
            helper.make_tensor_value_info("features/penultimate", TensorProto.FLOAT, ["N", 7]),
        ],
        initializers,
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def node(op_type: str, *inputs: str, out: str, **attributes: object) -> NodeProto:
    """One node."""
    return helper.make_node(op_type, list(inputs), [out], **attributes)


FLAT = node("Flatten", "pooled", out="flat")
AFFINE = {
    "a linear layer": (
        [FLAT, node("Gemm", "flat", "W", "b", out="logits", transB=1)],
        WEIGHT,
        BIAS,
    ),
    "bias apart": (
        [
            FLAT,
            node("Transpose", "W", out="Wt"),
            node("MatMul", "flat", "Wt", out="product"),
            node("Add", "product", "b", out="logits"),
        ],
        WEIGHT,
        BIAS,
    ),
    "no bias, and a scale": (
        [
            FLAT,
            node("Gemm", "flat", "W", out="z", transB=1),
            node("Mul", "z", "four", out="logits"),
        ],
        4 * WEIGHT,
        np.zeros(5),
    ),
    "the mean of two": (
        [
            FLAT,
            node("Gemm", "flat", "W", "b", out="first", transB=1),
            node("Gemm", "flat", "V", "b", out="second", transB=1),
            node("Add", "first", "second", out="both"),
            node("Div", "both", "two", out="logits"),
        ],
        (WEIGHT + OTHER) / 2,
        BIAS,
    ),
    "a convolution": (
        [
            node("Conv", "pooled", "kernel", "b", out="maps"),
            node("Flatten", "maps", out="logits"),
        ],
        WEIGHT,
        BIAS,
    ),
}
CONSTANTS = {
    "four": np.asarray(4.0),
    "two": np.asarray(2.0),
    "kernel": WEIGHT[:, :, None, None],
}


@pytest.mark.parametrize("name", AFFINE)
def test_weights_and_bias_are_those_of_the_layer(name: str) -> None:
    """However it is written, to float32."""
    tail, weight, bias = AFFINE[name]

    found = last_layer(classifier(tail, **CONSTANTS))

    assert found is not None
    np.testing.assert_allclose(found.weight, weight, atol=1e-6)
    np.testing.assert_allclose(found.bias, bias, atol=1e-6)


@pytest.mark.parametrize("activation", ["Tanh", "Relu", "Softmax"])
def test_what_is_not_affine_has_no_last_layer(activation: str) -> None:
    """An activation behind the layer, or before it."""
    behind = [
        FLAT,
        node("Gemm", "flat", "W", "b", out="z", transB=1),
        node(activation, "z", out="logits"),
    ]
    before = [
        FLAT,
        node(activation, "flat", out="active"),
        node("Gemm", "active", "W", "b", out="logits", transB=1),
    ]

    assert last_layer(classifier(behind)) is None
    assert last_layer(classifier(before)) is None


def test_features_that_the_logits_do_not_follow_from_have_none() -> None:
    """Somebody named features that stand beside the way."""
    tail = [
        FLAT,
        node("Gemm", "flat", "W", "b", out="logits", transB=1),
        node("GlobalMaxPool", "input", out="beside"),
    ]

    assert last_layer(classifier(tail, features="beside")) is None


def test_logits_that_read_something_else_as_well_have_none() -> None:
    """A second branch from the image makes the features a part of the story."""
    tail = [
        FLAT,
        node("Gemm", "flat", "W", "b", out="one", transB=1),
        node("GlobalMaxPool", "input", out="peaks"),
        node("Flatten", "peaks", out="flat_peaks"),
        node("Gemm", "flat_peaks", "V", out="two", transB=1),
        node("Add", "one", "two", out="logits"),
    ]

    assert last_layer(classifier(tail)) is None


def test_a_classifier_without_features_has_none() -> None:
    """There is nothing that the layer could read."""
    model = classifier([FLAT, node("Gemm", "flat", "W", "b", out="logits", transB=1)])
    del model.graph.output[1]

    assert last_layer(model) is None
