"""Gradients of whole classifiers against autograd, and in batches."""

import copy
import functools
import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import with_gradient
from edge_ood.graph.simplify import simplify

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

Floats = NDArray[np.floating[Any]]

SIZE_PX = 32
TEMPERATURE = 1000.0
TOLERANCE_DOUBLE = 1e-9  # sums of some thousand float64 products
TOLERANCE_SINGLE = 1e-4  # the same in float32
NETWORKS = {
    "wrn": lambda: project_network("wrn-10-1"),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
}


class Logits(torch.nn.Module):
    """The project's classifiers return more than logits."""

    def __init__(self, classifier: torch.nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10)."""
        return self.classifier(images).logits


def project_network(name: str) -> torch.nn.Module:
    from edge_ood.models import build_classifier

    return Logits(build_classifier(name, 10))


@functools.cache
def network(name: str) -> torch.nn.Module:
    """In evaluation mode, with batch statistics that are not 0 and 1."""
    torch.manual_seed(0)
    made = NETWORKS[name]()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.5)
            module.weight.data.uniform_(0.7, 1.3)
            module.bias.data.normal_(0, 0.1)
    return made.eval()


@functools.cache
def classifier(name: str, *, dtype: torch.dtype = torch.float32) -> onnx.ModelProto:
    """Exported by torch's older exporter, which takes a tenth of the time of the newer."""
    program = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            copy.deepcopy(network(name)).to(dtype),
            (torch.zeros(2, 3, SIZE_PX, SIZE_PX, dtype=dtype),),
            program,
            dynamo=False,
            opset_version=18,
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}},
        )
    return onnx.load_from_string(program.getvalue())


def with_odin_loss(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with an output `loss` (N,): minus the log-softmax of the largest logit."""
    model = copy.deepcopy(model)
    kind = model.graph.output[0].type.tensor_type.elem_type
    builder = GraphBuilder("loss")
    axis = builder.constant([1], np.int64)
    temperature = builder.constant(TEMPERATURE, helper.tensor_dtype_to_np_dtype(kind))
    scaled = builder.add("Div", ["logits", temperature])
    peak = builder.add("ReduceMax", [scaled, axis], keepdims=1)
    ratio = builder.add("Exp", [builder.add("Sub", [scaled, peak])])
    builder.add("Log", [builder.add("ReduceSum", [ratio, axis], keepdims=0)], name="loss")
    model.graph.node.extend(builder.nodes)
    model.graph.initializer.extend(builder.initializers)
    model.graph.output.append(helper.make_tensor_value_info("loss", kind, ["N"]))
    return model


@functools.cache
def session(name: str, *, simplified: bool = False) -> onnxruntime.InferenceSession:
    """Runs images to loss and gradient in onnxruntime."""
    model = simplify(classifier(name)) if simplified else classifier(name)
    model = with_gradient(with_odin_loss(model), of="loss", wrt="x")
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def gradient_of(name: str, images: Floats, **options: bool) -> Floats:
    return session(name, **options).run(["gradient"], {"x": images})[0]


def by_autograd(name: str, images: Floats) -> Floats:
    """The gradient in float64."""
    made = copy.deepcopy(network(name)).double()
    images = torch.from_numpy(images.astype(np.float64)).requires_grad_(True)
    scaled = made(images) / TEMPERATURE
    loss = torch.logsumexp(scaled, 1) - scaled.amax(1)
    return torch.autograd.grad(loss.sum(), images)[0].numpy()


def images(count: int, seed: int = 0, dtype: type[np.floating[Any]] = np.float32) -> Floats:
    shape = (count, 3, SIZE_PX, SIZE_PX)
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def errors(exact: Floats, got: Floats) -> Floats:
    """Largest difference over largest element, per image."""
    axes = (1, 2, 3)
    return np.abs(got - exact).max(axis=axes) / np.abs(exact).max(axis=axes)


def test_wide_resnet_equals_autograd_in_float64() -> None:
    """The whole chain of rules is exact: nothing differs but the order of summation."""
    model = with_gradient(
        with_odin_loss(classifier("wrn", dtype=torch.float64)), of="loss", wrt="x"
    )
    batch = images(2, dtype=np.float64)

    got = ReferenceEvaluator(model).run(["gradient"], {"x": batch})[0]

    assert errors(by_autograd("wrn", batch), got).max() <= TOLERANCE_DOUBLE


@pytest.mark.parametrize("count", [1, 3, 32])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_equals_autograd(name: str, count: int) -> None:
    """In float32, at any batch size, image by image.

    An activation that is zero but for rounding passes the gradient or does not; so a few images
    may differ, and the typical one must not.
    """
    batch = images(count, seed=count)

    error = errors(by_autograd(name, batch), gradient_of(name, batch))

    assert np.median(error) <= TOLERANCE_SINGLE


@pytest.mark.parametrize("name", NETWORKS)
def test_simplified_network_has_the_same_gradient(name: str) -> None:
    """Folding batch normalisation first changes the speed only."""
    batch = images(5)

    got = gradient_of(name, batch, simplified=True)

    assert np.median(errors(gradient_of(name, batch), got)) <= TOLERANCE_SINGLE


@pytest.mark.parametrize("name", NETWORKS)
def test_splitting_a_batch_changes_nothing(name: str) -> None:
    """An image's gradient does not depend on its neighbours."""
    batch = images(7)
    whole = gradient_of(name, batch)

    parts = np.concatenate([gradient_of(name, part) for part in np.split(batch, [1, 3])])

    assert errors(whole, parts).max() <= TOLERANCE_SINGLE
