"""Weights in another order, against NumPy and torch, and what they cost in a file."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import OPSET, GraphBuilder
from edge_ood.graph.gradient import with_gradient
from edge_ood.graph.rearranged import Rearranged, append_rearranged

FLOAT = TensorProto.FLOAT


def made(builder: GraphBuilder, name: str, weights: np.ndarray) -> np.ndarray:
    """What the nodes make of the weights."""
    graph = helper.make_graph(
        builder.nodes,
        "test",
        [helper.make_tensor_value_info("w", FLOAT, weights.shape)],
        [helper.make_tensor_value_info(name, FLOAT, None)],
        builder.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (found,) = ReferenceEvaluator(model).run(None, {"w": weights})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("shape", "group"),
    [((48, 32, 3, 3), 1), ((48, 16, 3, 5), 4), ((600, 1, 3, 3), 600), ((64, 80), 1)],
)
def test_nodes_make_what_a_transposed_convolution_takes(shape: tuple[int, ...], group: int) -> None:
    """Inputs and outputs change places in each group, and taps run backwards."""
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    per_group = np.split(weights, group)
    turned = np.concatenate([part.swapaxes(0, 1) for part in per_group])
    expected = np.flip(turned, axis=tuple(range(2, len(shape))))
    backwards = {axis: range(shape[axis])[::-1] for axis in range(2, len(shape))}
    how = Rearranged("w", shape, group, exchanged=True, picked=backwards)
    builder = GraphBuilder()

    name = append_rearranged(builder, how.of(weights), how)

    np.testing.assert_array_equal(how.of(weights), expected)
    np.testing.assert_array_equal(made(builder, name, weights), expected)


def test_factors_come_last() -> None:
    """Each rounds once, as the array does that they stand for."""
    weights = np.random.default_rng(1).normal(size=(64, 32, 3, 3)).astype(np.float32)
    factors = np.random.default_rng(2).normal(size=(2, 32, 1, 1, 1)).astype(np.float32)
    how = Rearranged("w", weights.shape, exchanged=True, picked={2: [2, 0]})
    for factor in factors:
        how = how.scaled(factor)
    expected = weights.swapaxes(0, 1)[:, :, [2, 0]] * factors[0] * factors[1]
    builder = GraphBuilder()

    name = append_rearranged(builder, how.of(weights), how)

    np.testing.assert_array_equal(made(builder, name, weights), expected)


def test_the_same_array_is_made_once() -> None:
    """Two gradients through one network share what they convolve with."""
    weights = np.zeros((64, 80, 1, 1), np.float32)
    how = Rearranged("w", weights.shape, exchanged=True)
    builder = GraphBuilder()

    names = {append_rearranged(builder, how.of(weights), how) for _ in range(2)}

    assert (1, 1) == (len(names), len(builder.nodes))


def test_small_weights_are_constants() -> None:
    """A few numbers take less room than the nodes that would make them."""
    weights = np.ones((3, 4, 3, 3), np.float32)
    how = Rearranged("w", weights.shape, exchanged=True)
    builder = GraphBuilder()

    append_rearranged(builder, how.of(weights), how)

    assert not builder.nodes


def network() -> tuple[onnx.ModelProto, torch.nn.Module]:
    """Convolutions with stride 1 and 2, groups and a scale behind them, by torch and as ONNX."""
    generator = np.random.default_rng(3)
    arrays = {
        "first": generator.normal(0, 0.2, (64, 3, 3, 3)),
        "second": generator.normal(0, 0.05, (64, 64, 3, 3)),
        "third": generator.normal(0, 0.05, (96, 64, 3, 3)),
        "fourth": generator.normal(0, 0.1, (96, 24, 3, 3)),
        "scale": generator.uniform(0.5, 2, (1, 96, 1, 1)),
    }
    layers = [("first", 1, 1), ("second", 1, 1), ("third", 2, 1), ("fourth", 1, 4)]
    nodes, modules, current = [], [], "x"
    for name, stride, group in layers:
        pads = {"pads": [1] * 4, "strides": [stride] * 2, "group": group}
        nodes.append(helper.make_node("Conv", [current, name], [f"{name}/maps"], **pads))
        nodes.append(helper.make_node("Tanh", [f"{name}/maps"], [f"{name}/out"]))
        current = f"{name}/out"
        if name == "third":
            nodes.append(helper.make_node("Mul", [current, "scale"], ["scaled"]))
            current = "scaled"
        out, inner = arrays[name].shape[:2]
        conv = torch.nn.Conv2d(inner * group, out, 3, stride, 1, groups=group, bias=False)
        conv.weight.data = torch.from_numpy(arrays[name].astype(np.float32))
        modules.append(conv)
    nodes.append(helper.make_node("ReduceSum", [current], ["y"]))
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    scale = torch.from_numpy(arrays["scale"])

    class Twin(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """The same number."""
            first, second, third, fourth = modules
            maps = third(second(first(x).tanh()).tanh()).tanh()
            return torch.as_tensor(fourth(maps * scale).tanh().sum())

    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), Twin()


def test_a_gradient_stores_no_weights_again(tmp_path: Path) -> None:
    """It is torch's, in a file hardly larger, of which onnxruntime computes the rest at load."""
    model, twin = network()
    before = len(model.SerializeToString())

    extended = with_gradient(model, of="y", wrt="x")

    assert before + 20_000 > len(extended.SerializeToString())
    images = np.random.default_rng(4).normal(size=(2, 3, 9, 9)).astype(np.float32)
    x = torch.from_numpy(images).requires_grad_()
    twin(x).backward()
    assert x.grad is not None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    session = onnxruntime.InferenceSession(extended.SerializeToString(), options)
    (found,) = session.run(["gradient"], {"x": images})
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-3, atol=1e-4)
    written, loaded = (
        [node.op_type for node in graph.node]
        for graph in (extended.graph, onnx.load(tmp_path / "loaded.onnx").graph)
    )
    # Shapes are gathered from too, and phases put together; of weights nothing is left to do.
    assert {"Transpose", "Gather"} <= set(written)
    assert not {"Transpose", "Gather"} & set(loaded)
