"""Foreign files: what is read, and what is refused with one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.errors import ArtifactError, ExportError, InputError
from edge_ood.graph.intake import image_input, normal_form, read_model

Network = Callable[..., ModelProto]


def outputs(model: ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(found)


def images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 16, 16)).astype(np.float32)


def saved(model: ModelProto, folder: Path, **options: Any) -> Path:
    path = folder / "network.onnx"
    onnx.save(model, path, **options)
    return path


def test_weights_in_a_file_beside_it_are_read(foreign_network: Network, tmp_path: Path) -> None:
    """The model in memory needs the second file no more."""
    model = foreign_network()
    expected = outputs(model, images())
    path = saved(
        model, tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )

    read = read_model(path)

    (tmp_path / "weights.bin").unlink()
    np.testing.assert_array_equal(outputs(read, images()), expected)


def test_local_functions_are_put_in_place(foreign_network: Network, tmp_path: Path) -> None:
    """A model with operators of its own, made of ONNX's, reads as one without."""
    model = foreign_network()
    expected = outputs(model, images())
    head = helper.make_function(
        "own",
        "Head",
        ["x", "w", "b"],
        ["y"],
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "b"], ["y"]),
        ],
        [helper.make_opsetid("", 18)],
    )
    nodes = [node for node in model.graph.node if node.op_type not in ("MatMul", "Add")]
    call = helper.make_node("Head", ["features", "weights", "bias"], ["scores"], domain="own")
    nodes.insert(-1, call)
    graph = helper.make_graph(
        nodes, "functions", model.graph.input, model.graph.output, model.graph.initializer
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = helper.make_model(graph, functions=[head], opset_imports=opsets, ir_version=8)

    read = read_model(saved(made, tmp_path))

    assert "Head" not in {node.op_type for node in read.graph.node}
    np.testing.assert_allclose(outputs(read, images()), expected, rtol=1e-6)


def test_weights_declared_as_inputs_are_no_inputs(foreign_network: Network, tmp_path: Path) -> None:
    """Old exporters list every weight among the inputs."""
    model = foreign_network()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    read = read_model(saved(model, tmp_path))

    entry = image_input(read)
    normal = normal_form(read, entry)

    assert ("image", "nchw", 3, 16, None) == (
        entry.name,
        entry.layout,
        entry.channels,
        entry.size_px,
        entry.batch,
    )
    assert ["image"] == [value.name for value in normal.graph.input]
    np.testing.assert_array_equal(outputs(normal, images()), outputs(model, images()))


def test_an_artefact_is_no_classifier(colour_artifact: Path) -> None:
    """Attaching twice is refused, and the hint says what else to do."""
    with pytest.raises(ArtifactError, match="is an edge-ood artefact already") as caught:
        read_model(colour_artifact)

    assert "edge-ood calibrate" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "truncated"])
def test_what_is_no_model_is_refused(kind: str, foreign_network: Network, tmp_path: Path) -> None:
    """No stack trace, whatever the file holds."""
    path = tmp_path / "network.onnx"
    content = foreign_network().SerializeToString()
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"text": b"hello", "empty": b"", "truncated": content[:-40]}[kind])

    with pytest.raises(ArtifactError, match=r"no file|is a folder|is not a valid") as caught:
        read_model(path)

    assert caught.value.hint


def with_version(model: ModelProto, *, opset: int = 18, ir: int = 8) -> ModelProto:
    model.ir_version = ir
    model.opset_import[0].version = opset
    return model


def test_an_ir_that_onnxruntime_does_not_know_is_no_reason(
    foreign_network: Network, tmp_path: Path
) -> None:
    """Whatever tool wrote it last: a file runs that has nothing of what is new in its IR."""
    newest = with_version(foreign_network(), ir=onnx.IR_VERSION)

    read = read_model(saved(newest, tmp_path))

    assert 8 == read.ir_version
    np.testing.assert_array_equal(outputs(read, images()), outputs(foreign_network(), images()))


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({"ir": 999}, rf"has IR version 999, onnx [\d.]+ reads up to {onnx.IR_VERSION}$"),
        ({"opset": 999}, r"has opset 999, this onnxruntime reads up to \d+$"),
    ],
)
def test_versions_that_are_too_new_are_refused_by_number(
    versions: dict[str, int], message: str, foreign_network: Network, tmp_path: Path
) -> None:
    """The file's version and the newest that is read, not what another library says of its code."""
    path = saved(with_version(foreign_network(), **versions), tmp_path)

    with pytest.raises(ArtifactError, match=message) as caught:
        read_model(path)

    assert "upgrade" in str(caught.value.hint)


def test_the_newest_opset_that_is_named_is_read(foreign_network: Network, tmp_path: Path) -> None:
    """The number in the refusal is right: it is read, and the next one is not."""
    with pytest.raises(ArtifactError) as caught:
        read_model(saved(with_version(foreign_network(), opset=999), tmp_path))
    newest = int(str(caught.value).rpartition(" ")[2])

    read_model(saved(with_version(foreign_network(), opset=newest), tmp_path))
    with pytest.raises(ArtifactError, match=f"has opset {newest + 1}"):
        read_model(saved(with_version(foreign_network(), opset=newest + 1), tmp_path))


def test_nodes_out_of_order_are_sorted(foreign_network: Network, tmp_path: Path) -> None:
    """As converters to float16 write them; onnxruntime takes such files, and says the same."""
    model = foreign_network(ending="softmax")
    turned = onnx.ModelProto.FromString(model.SerializeToString())
    del turned.graph.node[:]
    turned.graph.node.extend(reversed(model.graph.node))
    path = saved(turned, tmp_path)
    expected = onnxruntime.InferenceSession(path).run(None, {"image": images()})[0]

    read = read_model(path)

    onnx.checker.check_model(read)
    np.testing.assert_array_equal(outputs(read, images()), expected)


def test_nodes_that_wait_for_each_other_are_refused(
    foreign_network: Network, tmp_path: Path
) -> None:
    """In one line that names them, as no order will do."""
    model = foreign_network()
    dense = next(node for node in model.graph.node if node.name == "dense")
    dense.input[0] = "scores"

    with pytest.raises(ArtifactError, match=r"in a circle: .*'dense'") as caught:
        read_model(saved(model, tmp_path))

    assert "\n" not in str(caught.value)


def with_input(model: ModelProto, elem_type: int, shape: list[Any]) -> ModelProto:
    """The model with another type of its first input."""
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", elem_type, shape))
    return model


@pytest.mark.parametrize(
    ("elem_type", "shape", "options", "message"),
    [
        (TensorProto.INT64, ["N", 128], {}, r"'image' is int64 \(\?, 128\), expected images"),
        (TensorProto.FLOAT, ["N", 3, 16], {}, r"float32 \(\?, 3, 16\), expected images"),
        (TensorProto.FLOAT, ["N", 5, 16, 16], {}, r"\(\?, 5, 16, 16\), expected images"),
        (TensorProto.FLOAT, ["N", 3, 16, 20], {}, "expected square images"),
        (TensorProto.FLOAT, ["N", 3, "H", "W"], {}, "leaves the image size open"),
        (TensorProto.FLOAT, ["N", 3, 16, 16], {"size_px": 32}, "got --image-size 32"),
        (TensorProto.FLOAT, ["N", "C", "H", "W"], {"size_px": 32}, "where the channels are"),
        (TensorProto.FLOAT, ["N", 3, 16, 3], {}, "where the channels are"),
        (TensorProto.FLOAT, ["N", 3, 16, 16], {"layout": "nhwc"}, "1 or 3 channels in nhwc"),
    ],
)
def test_inputs_that_are_no_images_are_refused(
    elem_type: int,
    shape: list[Any],
    options: dict[str, Any],
    message: str,
    foreign_network: Network,
) -> None:
    """The error shows the input as the model declares it."""
    with pytest.raises(InputError, match=message) as caught:
        image_input(with_input(foreign_network(), elem_type, shape), **options)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        (["N", 3, "H", "W"], {"size_px": 24}, ("nchw", 3, 24)),
        (["N", "H", "W", 3], {"size_px": 24}, ("nhwc", 3, 24)),
        (["N", 1, 28, 28], {}, ("nchw", 1, 28)),
        (["N", 28, 28, 1], {}, ("nhwc", 1, 28)),
        (["N", "a", "b", "c"], {"size_px": 8, "layout": "nhwc"}, ("nhwc", 3, 8)),
    ],
)
def test_the_sizes_tell_the_layout(
    shape: list[Any],
    options: dict[str, Any],
    expected: tuple[str, int, int],
    foreign_network: Network,
) -> None:
    """Where one axis has 1 or 3 elements and the other has not, that is where channels are."""
    entry = image_input(with_input(foreign_network(), TensorProto.FLOAT, shape), **options)

    assert expected == (entry.layout, entry.channels, entry.size_px)


def test_two_inputs_are_refused(foreign_network: Network) -> None:
    """Both are named."""
    model = foreign_network()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N"]))

    with pytest.raises(InputError, match=r"2 inputs \('image', 'mask'\)"):
        image_input(model)


def test_sparse_weights_are_refused(foreign_network: Network, tmp_path: Path) -> None:
    """They would be lost on the way."""
    model = foreign_network()
    dense = next(t for t in model.graph.initializer if t.name == "weights")
    array = numpy_helper.to_array(dense).ravel()
    (indices,) = array.nonzero()
    values = numpy_helper.from_array(array[indices], "weights")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(indices), [3, 3])
    model.graph.initializer.remove(dense)
    model.graph.sparse_initializer.append(sparse)

    with pytest.raises(ExportError, match="sparse weights"):
        read_model(saved(model, tmp_path))
