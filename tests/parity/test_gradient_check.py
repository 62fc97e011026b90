"""Gradients against differences: right ones pass, wrong ones and undefined ones do not."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge_ood.errors import ExportError
from edge_ood.graph.simplify import simplify
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity import gradient_check as module
from edge_ood.parity.gradient_check import check_gradient
from edge_ood.parity.limits import Pass
from edge_ood.parity.onnx_reference import OnnxEvaluator
from edge_ood.registry import Spec
from edge_ood.scores import BoundHead, Outputs, bind_head
from edge_ood.torch_export.export import export_classifier
from edge_ood.torch_export.penultimate import find_features

SIZE = 10
PREPROCESS = Preprocess(SIZE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
FLOAT32 = 1e-4  # relative error of a float32 gradient along directions that are not across it
ODIN = bind_head(Spec("odin"))


@pytest.fixture(scope="module")
def classifier() -> onnx.ModelProto:
    """A network that bends: ReLUs and a maximum pooling."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 4)
    )
    found, _ = find_features("net", network.eval(), SIZE, 4)
    return export_classifier(found, SIZE)


@pytest.fixture(name="photographs")
def noise() -> dict[str, np.ndarray]:
    """Nothing flat, where everything ties."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
    return {f"image {number}": each for number, each in enumerate(pixels)}


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    """Noise, and flat images, whose neighbours all tie."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (7, SIZE, SIZE, 3), np.uint8)
    flat = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (0, 200, 255)]
    return {f"image {number}": pixels for number, pixels in enumerate([*flat, *noise])}


def mahalanobis() -> BoundHead:
    """Distances of features to the means of four classes."""
    generator = np.random.default_rng(0)
    statistics = {
        "penultimate/centre": generator.normal(size=96),
        "penultimate/whitening": generator.normal(size=(96, 5)),
        "penultimate/means": generator.normal(size=(4, 5)),
    }
    bound = bind_head(Spec("mahalanobis", {"epsilon": "0.01"}))
    return BoundHead(bound.head, bound.parameters, statistics)


@pytest.mark.parametrize(
    ("head", "output"),
    [(ODIN, "logits"), (mahalanobis(), "features/penultimate")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_right_gradient_passes(
    head: BoundHead, output: str, classifier: onnx.ModelProto, images: dict[str, np.ndarray]
) -> None:
    """Eight images, eight directions each, and hardly a kink among them."""
    exact = OnnxEvaluator(classifier)

    (report,) = check_gradient(simplify(classifier), exact, head, images, PREPROCESS)

    assert (head.name, output, 8) == (report.head, report.output, report.images)
    assert 64 == report.compared + report.kinks
    assert report.kinks <= 2
    assert 0 < report.worst < FLOAT32


@pytest.mark.parametrize("factor", [0.98, 1.02, -1.0])
def test_a_wrong_gradient_is_refused(
    factor: float,
    classifier: onnx.ModelProto,
    images: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two per cent off is too much; head, output and image are named."""
    exact, right = OnnxEvaluator(classifier), module._gradients

    def wrong(*arguments: Any) -> dict[str, np.ndarray]:
        return {output: factor * found for output, found in right(*arguments).items()}

    monkeypatch.setattr(module, "_gradients", wrong)

    with pytest.raises(ExportError, match=r"gradient of 'odin' .* 'logits' .* image 'image \d'"):
        check_gradient(classifier, exact, ODIN, images, PREPROCESS)


def test_the_gradient_of_another_network_is_refused(
    classifier: onnx.ModelProto, images: dict[str, np.ndarray]
) -> None:
    """The largest weight of a convolution with another sign."""
    other = onnx.ModelProto()
    other.CopyFrom(classifier)
    kernel = next(tensor for tensor in other.graph.initializer if len(tensor.dims) == 4)
    weights = onnx.numpy_helper.to_array(kernel).copy()
    weights.flat[np.abs(weights).argmax()] *= -1
    kernel.CopyFrom(onnx.numpy_helper.from_array(weights, kernel.name))
    exact = OnnxEvaluator(classifier)

    with pytest.raises(ExportError, match="gradient of 'odin' and central differences"):
        check_gradient(other, exact, ODIN, images, PREPROCESS)


class Bending:
    """A reference whose logits have a kink at every point that is looked at first."""

    def __init__(self) -> None:
        self.points: np.ndarray | None = None

    def __call__(self, batch: np.ndarray) -> Outputs:
        """Logits (N, 2), the first of which grows with the distance."""
        if len(batch) > 1 and self.points is None:
            self.points = batch
        points = batch if self.points is None else self.points
        away = np.abs(batch - points).sum(axis=(1, 2, 3))
        return Outputs(np.stack([1 + away, np.zeros(len(batch))], axis=1))

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """Never asked for."""
        raise NotImplementedError


def test_a_loss_that_bends_everywhere_is_refused(
    classifier: onnx.ModelProto, images: dict[str, np.ndarray]
) -> None:
    """Where no derivative exists none can be checked, and the error says where the limit is."""
    with pytest.raises(ExportError, match="the loss of 'odin' bends at 64 of 64 places"):
        check_gradient(classifier, Bending(), ODIN, images, PREPROCESS)


@pytest.mark.parametrize(
    ("seconds", "images", "derivatives"), [(0.17, 8, 64), (0.3, 8, 32), (1.0, 2, 8), (9.0, 2, 8)]
)
def test_a_slow_network_is_tried_along_fewer_directions(
    seconds: float,
    images: int,
    derivatives: int,
    classifier: onnx.ModelProto,
    photographs: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes two evaluations, and 24 seconds are enough for a check of what chance draws."""
    monkeypatch.setattr(module.time, "process_time", iter([0.0, seconds]).__next__)
    exact = OnnxEvaluator(classifier)

    (report,) = check_gradient(classifier, exact, ODIN, photographs, PREPROCESS)

    assert (images, derivatives) == (report.images, report.compared + report.kinks)
