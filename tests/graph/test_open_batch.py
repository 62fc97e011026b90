"""Graphs that are fixed to one image, or several, with any number of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.errors import ExportError
from edge_ood.graph.intake import image_input, normal_form, read_model

ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
SIZE = 8


def opened(path: Path) -> onnx.ModelProto:
    model = read_model(path)
    assert image_input(model).batch
    return normal_form(model, image_input(model))


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(found)


def images(count: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, size, size)).astype(np.float32)


@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize("dynamo", [False, True])
def test_a_transformer_for_one_image_takes_three(dynamo: bool, tmp_path: Path) -> None:
    """Class token, tokens before images and heads beside images: torch's numbers for each image."""
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=4).eval()
    torch.nn.init.normal_(network.heads.head.weight)  # torchvision's own is zero
    example = (torch.zeros(1, 3, 16, 16),)
    more = {"verbose": False} if dynamo else {"opset_version": 14}
    torch.onnx.export(network, example, tmp_path / "vit.onnx", dynamo=dynamo, **more)

    model = opened(tmp_path / "vit.onnx")

    for count in (1, 3):
        with torch.inference_mode():
            expected = network(torch.from_numpy(images(count, 16)))
        np.testing.assert_allclose(run(model, images(count, 16)), expected, **ROUNDING)


def saved(
    folder: Path, nodes: Sequence[NodeProto], batch: int, **constants: Sequence[float]
) -> Path:
    """A model from `x` (batch, 3, 8, 8) to `y`."""
    weights = [
        numpy_helper.from_array(
            np.array(values, np.int64 if np.ndim(values) == 1 else np.float32), name
        )
        for name, values in constants.items()
    ]
    graph = helper.make_graph(
        nodes,
        "fixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), folder / "fixed.onnx")
    return folder / "fixed.onnx"


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "shape", ["B,192", "B,-1", "-1,192", "B,3,64", "B,3,-1", "-1,3,64", "B,3,8,2,4", "B,1,-1,8"]
)
def test_a_reshape_follows_the_batch(shape: str, batch: int, tmp_path: Path) -> None:
    """Whatever part of its shape the exporter wrote as a number."""
    sizes = [batch if size == "B" else int(size) for size in shape.split(",")]
    path = saved(tmp_path, [helper.make_node("Reshape", ["x", "shape"], ["y"])], batch, shape=sizes)

    model = opened(path)

    for count in (1, 2, 3):
        tail = run(model, images(batch)).shape[1:]
        np.testing.assert_array_equal(
            run(model, images(count)), images(count).reshape(count, *tail)
        )


def test_a_reshape_that_merges_images_with_channels_is_undone(tmp_path: Path) -> None:
    """(N, 3, 8, 8) to (3 N, 64) and back."""
    nodes = [
        helper.make_node("Reshape", ["x", "merged"], ["rows"]),
        helper.make_node("Reshape", ["rows", "apart"], ["y"]),
    ]

    model = opened(saved(tmp_path, nodes, 1, merged=[3, 64], apart=[1, 3, 64]))

    np.testing.assert_array_equal(run(model, images(3)), images(3).reshape(3, 3, 64))


def test_a_constant_is_repeated_for_every_image(tmp_path: Path) -> None:
    """What is joined to one image is joined to each."""
    extra = np.ones((1, 1, SIZE, SIZE))
    nodes = [helper.make_node("Concat", ["extra", "x"], ["y"], axis=1)]

    model = opened(saved(tmp_path, nodes, 1, extra=extra))

    expected = np.concatenate([np.repeat(extra, 3, axis=0), images(3)], axis=1)
    np.testing.assert_array_equal(run(model, images(3)), expected)


def test_weights_are_not_taken_for_images(tmp_path: Path) -> None:
    """A constant that is reshaped to (1, ...) stays what it is."""
    nodes = [
        helper.make_node("Reshape", ["scale", "planes"], ["planar"]),
        helper.make_node("Mul", ["x", "planar"], ["y"]),
    ]
    scale = np.array([[1.0, 2.0, 4.0]])  # powers of two: exact

    model = opened(saved(tmp_path, nodes, 1, scale=scale, planes=[1, 3, 1, 1]))

    np.testing.assert_array_equal(run(model, images(2)), images(2) * scale.reshape(1, 3, 1, 1))


def test_a_graph_that_cannot_follow_is_refused(tmp_path: Path) -> None:
    """Elements of one image picked by number: the error says what to export instead."""
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("Gather", ["row", "chosen"], ["y"]),
    ]
    path = saved(tmp_path, nodes, 1, flat=[-1], chosen=[0, 5, 7])

    with pytest.raises(ExportError, match="fixed to 1 image") as caught:
        opened(path)

    assert "dynamic batch" in str(caught.value.hint)
