"""Gradients of networks in float16: float32 throughout, against the closed form."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import OPSET, GraphBuilder
from edge_ood.graph.precision import with_float16
from edge_ood.graph.wide_gradient import append_wide_gradient, in_float32

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


def halved(classifier: ModelProto, ending: list[onnx.NodeProto]) -> ModelProto:
    """The classifier as others write float16: all weights are, and names follow no rule."""
    half = onnx.ModelProto.FromString(classifier.SerializeToString())
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    half.graph.node[0].input[0] = "image16"
    half.graph.node[-1].output[0] = "scores"
    cast = helper.make_node("Cast", ["input"], ["image16"], to=TensorProto.FLOAT16)
    half.graph.node.insert(0, cast)
    half.graph.node.extend(ending)
    return half


@pytest.mark.parametrize("used_twice", [False, True])
def test_somebody_elses_float16_has_a_gradient_in_float32(
    used_twice: bool, classifier: ModelProto, arrays: dict[str, np.ndarray], images: np.ndarray
) -> None:
    """Casts at both ends are all that tells; a tensor may be cast more than once."""
    last = [helper.make_node("Cast", ["scores"], ["logits"], to=TensorProto.FLOAT)]
    if used_twice:
        last = [helper.make_node("Cast", ["scores"], [name], to=TensorProto.FLOAT) for name in "ab"]
        last.append(helper.make_node("Add", ["a", "b"], ["logits"]))
    large = {**arrays, "linear": arrays["linear"] / SMALL}
    model = onnx.ModelProto.FromString(classifier.SerializeToString())
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(large["linear"], "linear"))
    rounded = {name: array.astype(np.float16) for name, array in large.items()}
    expected = closed_form(rounded["weights"], {**large, "linear": rounded["linear"]}, images)

    (found,) = gradient_of(halved(model, last), images)

    factor = 2 if used_twice else 1
    np.testing.assert_allclose(found, factor * expected, rtol=FLOAT32_SUMS, atol=1e-6)


def test_in_float32_a_network_is_what_its_weights_say(
    classifier: ModelProto, images: np.ndarray
) -> None:
    """No rounding in between: as near to float64 as float32 is."""
    last = [helper.make_node("Cast", ["scores"], ["logits"], to=TensorProto.FLOAT)]
    model = onnx.ModelProto.FromString(classifier.SerializeToString())
    linear = np.full((4, 1), 0.1, np.float32)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(linear, "linear"))
    half = halved(model, last)
    kernel = numpy_helper.to_array(half.graph.initializer[0]).astype(np.float64)[:, :, 0, 0]
    maps = np.maximum(np.einsum("oc,nchw->nohw", kernel, images.astype(np.float64)), 0)
    expected = maps.mean(axis=(2, 3)) @ linear.astype(np.float16).astype(np.float64)

    whole = in_float32(half)

    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in whole.graph.initializer}
    (found,) = ReferenceEvaluator(whole).run(None, {"input": images})
    np.testing.assert_allclose(found, expected, rtol=FLOAT32_SUMS)
    assert in_float32(classifier) is classifier


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
