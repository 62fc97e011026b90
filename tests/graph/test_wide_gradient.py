"""Gradients of networks in float16: float32 throughout, against the closed form."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import OPSET, GraphBuilder
from edge_ood.graph.precision import with_float16
from edge_ood.graph.wide_gradient import append_wide_gradient

FLOAT32_SUMS = 1e-5  # relative
SMALL = 1e-9
"""Of the last layer: gradients this small are zero in float16, whose least number is 6e-8."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Weights of a convolution and of a linear layer."""
    generator = np.random.default_rng(0)
    return {
        "weights": generator.normal(size=(4, 3, 1, 1)).astype(np.float32),
        "linear": (SMALL * generator.normal(size=(4, 1))).astype(np.float32),
        "sides": np.array([2, 3]),
    }


@pytest.fixture(scope="module")
def classifier(arrays: dict[str, np.ndarray]) -> ModelProto:
    """Conv, ReLU, global average, one logit, of 4 px."""
    nodes = [
        helper.make_node("Conv", ["input", "weights"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("ReduceMean", ["active", "sides"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "linear"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def gradient_of(model: ModelProto, images: np.ndarray, times: int = 1) -> list[np.ndarray]:
    """The gradient of the logit by the images, appended as many times as asked for."""
    builder = GraphBuilder()
    builder.nodes.extend(model.graph.node)
    builder.initializers.extend(model.graph.initializer)
    inputs = list(model.graph.input)
    names = [
        append_wide_gradient(builder, of="logits", wrt="input", inputs=inputs, opset=OPSET)
        for _ in range(times)
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 4, 4]) for name in names
    ]
    graph = helper.make_graph(builder.nodes, "test", inputs, outputs, builder.initializers)
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    # onnxruntime has few float16 kernels for CPUs and computes in float32 what it can.
    found: list[np.ndarray] = ReferenceEvaluator(made).run(names, {"input": images})
    return found


def closed_form(
    weights: np.ndarray, arrays: dict[str, np.ndarray], images: np.ndarray
) -> np.ndarray:
    """The same on paper, in float64."""
    kernel = weights[:, :, 0, 0].astype(np.float64)
    is_active = np.einsum("oc,nchw->nohw", kernel, images) > 0
    to_maps = is_active * arrays["linear"].astype(np.float64).reshape(1, 4, 1, 1) / 16
    return np.einsum("oc,nohw->nchw", kernel, to_maps)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Numbers that float16 holds exactly, so that every ReLU is open or shut in both."""
    values = np.random.default_rng(1).normal(size=(5, 3, 4, 4))
    return values.astype(np.float16).astype(np.float32)


def test_gradients_too_small_for_float16_arrive(
    classifier: ModelProto, arrays: dict[str, np.ndarray], images: np.ndarray
) -> None:
    """The gradient of the rounded weights, to float32's precision."""
    rounded = arrays["weights"].astype(np.float16)
    expected = closed_form(rounded, arrays, images)

    (found,) = gradient_of(with_float16(classifier), images)

    assert not expected.astype(np.float16).any()
    np.testing.assert_allclose(found, expected, rtol=FLOAT32_SUMS, atol=1e-6 * SMALL)


def test_two_gradients_share_a_graph(classifier: ModelProto, images: np.ndarray) -> None:
    """Each head has a gradient of its own; names do not collide, values agree."""
    first, second = gradient_of(with_float16(classifier), images, times=2)

    assert np.array_equal(first, second)


def test_networks_in_float32_have_their_own_gradient(
    classifier: ModelProto, arrays: dict[str, np.ndarray], images: np.ndarray
) -> None:
    """Nothing is cast where nothing was converted."""
    expected = closed_form(arrays["weights"], arrays, images)

    (found,) = gradient_of(classifier, images)

    np.testing.assert_allclose(found, expected, rtol=FLOAT32_SUMS, atol=1e-6 * SMALL)
