"""The torch-free reference: float64 throughout, equal to torch, and no slower than it may be."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_ood.images.preprocess import Preprocess
from edge_ood.parity import onnx_reference as module
from edge_ood.parity.limits import Evaluator
from edge_ood.parity.onnx_reference import OnnxEvaluator, onnx_reference
from edge_ood.parity.runtime_evaluator import RuntimeEvaluator
from edge_ood.parity.torch_reference import TorchEvaluator
from edge_ood.registry import Spec
from edge_ood.scores import bind_head
from edge_ood.torch_export.export import export_classifier
from edge_ood.torch_export.penultimate import find_features

DOUBLE = {"rtol": 1e-12, "atol": 1e-12}
SIZE = 12
EPSILON = 2.0**-17  # as an attribute of a node it is a float32 whatever the graph computes in
PREPROCESS = Preprocess(SIZE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


class Network(nn.Module):
    """Convolutions, activations and norms; its constants are the same in float32 and float64."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, stride=2)
        self.layer_norm = nn.LayerNorm(8, eps=EPSILON)
        self.last = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 4)."""
        maps = self.first(images).sigmoid()
        maps = torch.erf(self.depthwise(maps)).clamp(-3.0, 0.25)
        pooled = self.layer_norm(maps.mean((2, 3)) * 0.125 + 0.375)
        return self.last(pooled)


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, onnx.ModelProto]:
    """A network in torch and in ONNX."""
    torch.manual_seed(0)
    found, _ = find_features("net", Network().eval(), SIZE, 4)
    return found, export_classifier(found, SIZE)


def images(count: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return PREPROCESS.normalise(pixels)


def test_float64_is_torchs_float64(pair: tuple[nn.Module, onnx.ModelProto]) -> None:
    """Every constant of the graph is widened: one that stayed float32 would show at 1e-8."""
    network, classifier = pair

    found = OnnxEvaluator(classifier)(images()).named()

    expected = TorchEvaluator(network, torch.float64)(images()).named()
    assert list(expected) == list(found)
    for name, array in expected.items():
        assert np.float64 == found[name].dtype
        np.testing.assert_allclose(found[name], array, **DOUBLE)


def test_constants_inside_the_graph_are_widened() -> None:
    """Constants of every form, a cast and a filled tensor keep sixteen digits of 1/3."""
    third = helper.make_tensor("t", TensorProto.DOUBLE, [], [1 / 3])
    nodes = [
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["row"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["exact"], value=third),
        helper.make_node("Cast", ["exact"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["input"], ["shape"], start=0, end=1),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceMean", ["input", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Gather", ["pooled", "first"], ["column"], axis=1),
        helper.make_node("Sum", ["column", "half", "cast", "zeros"], ["sum"]),
        helper.make_node("Unsqueeze", ["sum", "first"], ["tall"]),
        helper.make_node("Mul", ["tall", "row"], ["logits"]),
    ]
    weights = {"axes": np.array([2, 3]), "first": np.array(1)}
    graph = helper.make_graph(
        nodes,
        "constants",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    batch = np.random.default_rng(0).random((2, 3, 4, 4))

    found = OnnxEvaluator(model)(batch)

    column = batch[:, 1].mean(axis=(1, 2)) + 0.5 + 1 / 3
    np.testing.assert_allclose(found.logits, np.stack([column, 2 * column], axis=1), **DOUBLE)


@pytest.mark.parametrize(
    ("op_type", "approximate"), [("Erf", None), ("Gelu", "none"), ("Gelu", "tanh")]
)
def test_the_error_function_is_exact(op_type: str, approximate: str | None) -> None:
    """Onnx's own evaluator computes it in float32, alone and inside GELU."""
    x = torch.linspace(-3, 3, 12, dtype=torch.float64)
    attributes = {} if approximate is None else {"approximate": approximate}
    graph = helper.make_graph(
        [helper.make_node(op_type, ["input"], ["logits"], **attributes)],
        "one operator",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, 2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    found = OnnxEvaluator(model)(x.reshape(1, 3, 2, 2).numpy()).logits

    gelu = nn.functional.gelu(x, approximate=approximate or "none")
    expected = x.erf() if op_type == "Erf" else gelu
    np.testing.assert_allclose(found.ravel(), expected, **DOUBLE)


@pytest.mark.parametrize(
    "spec",
    [
        "odin:epsilon=0.01,clip=true",
        "odin:epsilon=0.01,clip=false",
        "odin:epsilon=0.01,pixels=one",
        "adascale",
    ],
)
def test_perturbed_outputs_are_those_of_autograd(
    spec: str, pair: tuple[nn.Module, onnx.ModelProto]
) -> None:
    """The image moved by the ONNX gradient gives what the image moved by autograd gives."""
    network, classifier = pair
    head = bind_head(spec)

    found = OnnxEvaluator(classifier).second_pass(head, PREPROCESS)(images())

    reference = TorchEvaluator(network, torch.float64)
    expected = reference.second_pass(head, PREPROCESS)(images())
    still = reference(images()).named()
    changed = []
    for name, values in expected.named().items():
        np.testing.assert_allclose(found.named()[name], values, rtol=1e-7, atol=1e-7)
        changed += [name] if np.abs(values - still[name]).max() > 1e-4 else []
    assert list(head.losses(np, expected)) == changed


@pytest.mark.parametrize("evaluator", [OnnxEvaluator, RuntimeEvaluator])
def test_a_second_pass_goes_as_far_as_its_head_steps(
    evaluator: Callable[[onnx.ModelProto], Evaluator], pair: tuple[nn.Module, onnx.ModelProto]
) -> None:
    """The same head by name, with another step, and again."""
    program = evaluator(pair[1])
    near, far = (bind_head(Spec("odin", {"epsilon": size})) for size in ("0.0001", "0.1"))

    moved = [program.second_pass(head, PREPROCESS)(images()).logits for head in (near, far, near)]

    np.testing.assert_array_equal(moved[0], moved[2])
    assert np.abs(moved[1] - moved[0]).max() > 100 * np.abs(moved[0] - moved[2]).max() + 1e-3


def test_a_slow_network_is_compared_on_fewer_images(
    pair: tuple[nn.Module, onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty seconds are shared by all images, ten extremes among them, and four are the least."""
    assert 64 == onnx_reference(pair[1], PREPROCESS).images

    clock: Callable[[], float] = iter([0.0, 1.0, 0.0, 0.1, 0.0, 100.0]).__next__
    monkeypatch.setattr(module.time, "process_time", clock)

    assert 10 == onnx_reference(pair[1], PREPROCESS).images
    assert 30 == onnx_reference(pair[1], PREPROCESS, perturbing=1).images
    assert 4 == onnx_reference(pair[1], PREPROCESS).images


def test_an_operator_that_onnx_lacks_is_left_to_onnxruntime() -> None:
    """Its own GELU, in this case, by its formula."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("QuickGelu", ["pooled"], ["logits"], domain="com.microsoft", alpha=2.0),
    ]
    graph = helper.make_graph(
        nodes,
        "extended",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    notes: list[str] = []

    reference = onnx_reference(model, PREPROCESS, on_note=notes.append)

    assert (False, "onnxruntime") == (reference.exact, reference.source)
    (note,) = notes
    assert note.startswith("onnx's reference evaluator cannot run it (")
    pooled = images().mean(axis=(2, 3))
    expected = pooled / (1 + np.exp(-2 * pooled))
    np.testing.assert_allclose(reference.float64(images()).logits, expected, rtol=1e-5)
