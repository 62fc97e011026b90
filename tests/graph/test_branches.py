"""Branches on shapes and constants, against onnxruntime, which decides them on its own."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edge_ood.graph.branches import decide_branches
from edge_ood.graph.draft import finish, start
from edge_ood.graph.intake import image_input, normal_form, read_model

FLOAT = TensorProto.FLOAT


def ran(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    return np.asarray(found)


def decided(model: onnx.ModelProto) -> onnx.ModelProto:
    draft = start(model)
    decide_branches(draft)
    return finish(model, draft)


def branch(*nodes: onnx.NodeProto, result: str, weights: Any = ()) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(result, FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [value], list(weights))


def asking(condition: onnx.TensorProto | None = None, *, inner: bool = False) -> onnx.ModelProto:
    """`2 x` or `-x`: as a constant says, or as the sum of x does where there is none."""
    two = helper.make_tensor("two", FLOAT, [], [2.0])
    double = branch(helper.make_node("Mul", ["x", "two"], ["r"]), result="r", weights=[two])
    negate = branch(helper.make_node("Neg", ["x"], ["r"]), result="r")
    if inner:
        node = helper.make_node("If", ["yes"], ["again"], then_branch=double, else_branch=negate)
        double = branch(node, result="again")
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=double, else_branch=negate)]
    if condition is None:
        nodes[:0] = [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["yes"], to=TensorProto.BOOL),
        ]
    x, y = (helper.make_tensor_value_info(name, FLOAT, ["N", 3]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [] if condition is None else [condition])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_one_branch_takes_the_place_of_the_question(answer: bool, inner: bool) -> None:
    """Its own weights come along, and a question inside of it is decided too."""
    model = asking(helper.make_tensor("yes", TensorProto.BOOL, [1], [answer]), inner=inner)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    plain = decided(model)

    assert "If" not in {node.op_type for node in plain.graph.node}
    onnx.checker.check_model(plain)
    np.testing.assert_array_equal(ran(plain, x), 2 * x if answer else -x)


def test_a_question_about_the_image_stays() -> None:
    """Nobody can answer it before there is one."""
    plain = decided(asking())

    assert "If" in {node.op_type for node in plain.graph.node}
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(ran(plain, x), 2 * x)


class Squeezing(nn.Module):
    """Squeezes an axis whose size the exporter does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows (N, 5)."""
        means = self.convolution(x).relu().mean((2, 3))
        columns = means.reshape(x.shape[0], -1, x.shape[1] - 2)
        return torch.as_tensor(self.head(columns.squeeze(2)))


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_what_pytorch_writes_for_squeeze_is_decided(tmp_path: Any) -> None:
    """Where the exporter did not know the image's size, it asks for the shape; we know it."""
    network = Squeezing().eval()
    one = torch.zeros(1, 3, 8, 8)
    axes = {"x": {0: "n", 2: "h", 3: "w"}}
    path = tmp_path / "squeezing.onnx"
    names = {"input_names": ["x"], "dynamic_axes": axes, "opset_version": 13}
    torch.onnx.export(network, (one,), path, dynamo=False, **names)
    read = read_model(path)
    assert "If" in {node.op_type for node in read.graph.node}

    normal = normal_form(read, image_input(read, size_px=8))

    assert "If" not in {node.op_type for node in normal.graph.node}
    for count in (1, 3):
        images = torch.rand(count, 3, 8, 8)
        with torch.inference_mode():
            expected = network(images).numpy()
        np.testing.assert_allclose(ran(normal, images.numpy()), expected, rtol=1e-5, atol=1e-6)
