"""Foreign graphs between nodes of ours: the numbers that the network had, under our names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ood.errors import EdgeOodError, InputError, UnknownNameError
from edge_ood.graph.adopt import adopt
from edge_ood.graph.endings import find_ending
from edge_ood.graph.intake import image_input, normal_form, read_model

Network = Callable[..., onnx.ModelProto]
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
HALF_ROUNDING = {"rtol": 5e-3, "atol": 5e-3}
LUMA = np.array([0.299, 0.587, 0.114])
WEIGHTS = 8 * np.eye(3)[:, [1, 0, 2]]
CLASSES = 3


def images(count: int = 3) -> np.ndarray:
    """Images in [0, 1], (N, 3, 16, 16)."""
    return np.random.default_rng(0).random((count, 3, 16, 16)).astype(np.float32)


def adopted(
    model: onnx.ModelProto, folder: Path, *, channels: str = "rgb", **found: Any
) -> onnx.ModelProto:
    """A network written to a file, read and adopted."""
    onnx.save(model, folder / "network.onnx")
    read = read_model(folder / "network.onnx")
    entry = image_input(read, layout=found.pop("layout", None), size_px=found.pop("size_px", None))
    probabilities = found.pop("probabilities", False)
    normal = normal_form(read, entry)
    ending = find_ending(normal, **found)
    return adopt(normal, entry, ending, channels=channels, probabilities=probabilities)


def run(model: onnx.ModelProto, batch: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs by name; the model must be valid and declare what it gives."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"input": batch}), strict=True))
    for output in session.get_outputs():
        assert found[output.name].shape[1:] == tuple(output.shape[1:])
    return found


@pytest.mark.parametrize("ending", ["logits", "softmax", "log_softmax", "sigmoid"])
def test_logits_are_what_stands_before_the_activation(
    ending: str, foreign_network: Network, tmp_path: Path
) -> None:
    """Whatever turns scores into probabilities is left out, and the scores are exact."""
    found = run(adopted(foreign_network(ending=ending), tmp_path), images())

    features = images().mean(axis=(2, 3))
    np.testing.assert_allclose(found["features/penultimate"], features, **ROUNDING)
    np.testing.assert_allclose(found["logits"], features @ WEIGHTS, **ROUNDING)


def test_logits_behind_a_reshape_and_a_logarithm_are_found(
    foreign_network: Network, tmp_path: Path
) -> None:
    """`Log(Softmax(z))` in an odd shape is still the softmax of z."""
    model = foreign_network(ending="softmax")
    model.graph.node.append(helper.make_node("Log", ["output"], ["logarithm"]))
    shape = helper.make_tensor("odd", TensorProto.INT64, [4], [-1, CLASSES, 1, 1])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Reshape", ["logarithm", "odd"], ["last"]))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("last", TensorProto.FLOAT, ["N", CLASSES, 1, 1])
    )

    found = run(adopted(model, tmp_path), images())

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ WEIGHTS, **ROUNDING)


def test_a_softmax_over_something_else_stays(foreign_network: Network, tmp_path: Path) -> None:
    """A softmax over the batch is a part of the network, not its activation."""
    model = foreign_network(ending="softmax")
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.attribute[0].i = 0

    found = run(adopted(model, tmp_path), images())

    powers = np.exp(images().mean((2, 3)) @ WEIGHTS)
    np.testing.assert_allclose(found["logits"], powers / powers.sum(axis=0), **ROUNDING)


def test_channels_last_is_turned_around(foreign_network: Network, tmp_path: Path) -> None:
    """A Keras-style input is fed from planes, and gives the same."""
    found = run(adopted(foreign_network(layout="nhwc"), tmp_path), images())

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ WEIGHTS, **ROUNDING)


def test_bgr_gets_its_channels_in_reverse(foreign_network: Network, tmp_path: Path) -> None:
    """What the network calls its first channel is our blue."""
    found = run(adopted(foreign_network(), tmp_path, channels="bgr"), images())

    expected = images()[:, ::-1].mean((2, 3)) @ WEIGHTS
    np.testing.assert_allclose(found["logits"], expected, **ROUNDING)


def test_gray_is_the_luma_of_the_image(foreign_network: Network, tmp_path: Path) -> None:
    """One channel is mixed of three by ITU-R 601, as Pillow does."""
    weights = np.array([[1.0, -2.0, 3.0]])

    found = run(adopted(foreign_network(weights=weights), tmp_path, channels="gray"), images())

    expected = (images().mean((2, 3)) @ LUMA)[:, None] @ weights
    np.testing.assert_allclose(found["logits"], expected, **ROUNDING)


def test_a_gray_network_of_three_channels_gets_gray_in_each(
    foreign_network: Network, tmp_path: Path
) -> None:
    """Grey images repeated three times are a common way to use a colour network."""
    found = run(adopted(foreign_network(), tmp_path, channels="gray"), images())

    grey = np.repeat((images().mean((2, 3)) @ LUMA)[:, None], 3, axis=1)
    np.testing.assert_allclose(found["logits"], grey @ WEIGHTS, **ROUNDING)


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_opened(
    opset: int, batch: int, foreign_network: Network, tmp_path: Path
) -> None:
    """A Reshape to a fixed number of images takes any number afterwards, in any opset."""
    model = adopted(foreign_network(batch=batch, opset=opset, ending="softmax"), tmp_path)

    assert max(opset, 18) == model.opset_import[0].version
    for count in (1, 3, 5):
        expected = images(count).mean((2, 3)) @ WEIGHTS
        np.testing.assert_allclose(run(model, images(count))["logits"], expected, **ROUNDING)


def test_a_fixed_batch_beside_an_open_size_is_opened(
    foreign_network: Network, tmp_path: Path
) -> None:
    """`Reshape(x, [1, -1])` flattens one image; it must flatten each of many."""
    model = foreign_network(batch=1)
    rows = next(t for t in model.graph.initializer if t.name == "rows")
    rows.CopyFrom(helper.make_tensor("rows", TensorProto.INT64, [2], [1, -1]))
    reshape = next(node for node in model.graph.node if node.op_type == "Reshape")
    reshape.attribute.append(helper.make_attribute("allowzero", 1))

    found = run(adopted(model, tmp_path), images(3))

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ WEIGHTS, **ROUNDING)


def test_half_precision_is_cast_at_both_ends(foreign_network: Network, tmp_path: Path) -> None:
    """A float16 network takes float32 and gives float32."""
    model = foreign_network(elem_type=TensorProto.FLOAT16)

    found = run(adopted(model, tmp_path), images())

    expected = images().mean((2, 3)) @ WEIGHTS
    np.testing.assert_allclose(found["logits"], expected, **HALF_ROUNDING)
    assert np.float32 == found["features/penultimate"].dtype


@pytest.mark.parametrize("ending", ["logits", "sigmoid"])
def test_a_single_number_becomes_two_logits(
    ending: str, foreign_network: Network, tmp_path: Path
) -> None:
    """Softmax of [0, z] is the sigmoid of z."""
    weights = np.array([[1.0], [-2.0], [3.0]])

    found = run(adopted(foreign_network(weights=weights, ending=ending), tmp_path), images())

    z = images().mean((2, 3)) @ weights
    expected = np.concatenate([np.zeros_like(z), z], axis=1)
    np.testing.assert_allclose(found["logits"], expected, **ROUNDING)


def test_logarithms_of_probabilities_have_their_softmax(
    foreign_network: Network, tmp_path: Path
) -> None:
    """What nothing in the graph gives the logits of comes back out of a softmax."""
    model = adopted(foreign_network(ending="probabilities"), tmp_path, probabilities=True)

    found = run(model, images())

    powers = np.exp(images().mean((2, 3)) @ WEIGHTS)
    shares = np.exp(found["logits"])
    np.testing.assert_allclose(shares, powers / powers.sum(axis=1, keepdims=True), **ROUNDING)


def test_one_probability_becomes_two_logarithms(foreign_network: Network, tmp_path: Path) -> None:
    """A number p that is no logit stands for 1 - p and p."""
    weights = np.full((3, 1), 0.2)

    found = run(adopted(foreign_network(weights=weights), tmp_path, probabilities=True), images())

    p = (images().mean((2, 3)) @ weights)[:, 0]
    expected = np.log(np.stack([1 - p, p], axis=1))
    np.testing.assert_allclose(found["logits"], expected, **ROUNDING)


@pytest.mark.parametrize("last", ["Flatten", "Squeeze", "Identity"])
def test_what_a_convolution_of_one_pixel_reads_is_features(
    last: str, foreign_network: Network, tmp_path: Path
) -> None:
    """It is a linear layer, whether its rows are flattened, squeezed or left as maps."""
    model = foreign_network(ending="conv")
    node = next(node for node in model.graph.node if node.op_type == "Flatten")
    node.op_type = last
    if last == "Squeeze":
        model.graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
        node.input.append("axes")
    if last == "Identity":
        shape = ["N", CLASSES, 1, 1]
        model.graph.output[0].CopyFrom(
            helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)
        )

    found = run(adopted(model, tmp_path), images())

    features = images().mean(axis=(2, 3))
    np.testing.assert_allclose(found["features/penultimate"], features, **ROUNDING)
    np.testing.assert_allclose(found["logits"], features @ WEIGHTS, **ROUNDING)


def test_a_convolution_of_maps_has_no_features(foreign_network: Network, tmp_path: Path) -> None:
    """Its 16 x 16 places are no row; the reason is there for the user to read."""
    model = foreign_network(ending="conv")
    kept = [node for node in model.graph.node if node.op_type not in ("Flatten", "Conv")]
    kernel = np.tile(WEIGHTS.T[:, :, None, None] / 256, (1, 1, 16, 16)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, "kernel"))
    del model.graph.node[:]
    model.graph.node.extend(
        [
            kept[0],
            helper.make_node("Conv", ["planes", "kernel"], ["maps"]),
            helper.make_node("Flatten", ["maps"], ["output"]),
        ]
    )
    onnx.save(model, tmp_path / "network.onnx")
    read = read_model(tmp_path / "network.onnx")

    ending = find_ending(normal_form(read, image_input(read)))

    assert {} == ending.features
    assert "reads 'planes' (N, 3, 16, 16), not one row an image" in ending.no_features


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Integers for weights, and around its last layer, as onnxruntime.quantization writes it."""
    step, whole = np.array(0.05, np.float32), np.array(0, np.int8)
    rounded = np.round(WEIGHTS / 0.05).clip(-127, 127).astype(np.int8)
    arrays = {"step": step, "zero": whole, "integers": rounded}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    nodes = list(model.graph.node)
    place = next(i for i, node in enumerate(nodes) if node.op_type == "MatMul")
    nodes[place].input[:] = ["rounded", "real"]
    nodes[place:place] = [
        helper.make_node("DequantizeLinear", ["integers", "step", "zero"], ["real"]),
        helper.make_node("QuantizeLinear", ["features", "step", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["rounded"]),
    ]
    nodes[-1:] = [
        helper.make_node("QuantizeLinear", ["scores", "step", "zero"], ["answers"]),
        helper.make_node("DequantizeLinear", ["answers", "step", "zero"], ["output"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_a_quantised_network_keeps_its_numbers(
    opset: int, foreign_network: Network, tmp_path: Path
) -> None:
    """In opset 21, too, where onnxruntime fails if it moves int8 roundings across a Reshape.

    Features are what the last layer reads, roundings and all.
    """
    model = quantised(foreign_network(opset=opset))
    session = onnxruntime.InferenceSession(model.SerializeToString())

    found = run(adopted(model, tmp_path), images())

    np.testing.assert_array_equal(found["logits"], session.run(["output"], {"image": images()})[0])
    levels = np.round(images().mean(axis=(2, 3)) / 0.05) * 0.05
    np.testing.assert_allclose(found["features/penultimate"], levels, **ROUNDING)


@pytest.mark.parametrize("name", ["pooled", "planes", "features"])
def test_features_may_be_named(name: str, foreign_network: Network, tmp_path: Path) -> None:
    """Maps are averaged over space, rows are taken as they are."""
    found = run(adopted(foreign_network(), tmp_path, features=[name]), images())

    np.testing.assert_allclose(found[f"features/{name}"], images().mean((2, 3)), **ROUNDING)


def test_maps_with_channels_last_are_averaged_over_space(
    foreign_network: Network, tmp_path: Path
) -> None:
    """Equal sides tell where the channels are."""
    model = foreign_network(layout="nhwc")
    model.graph.node.insert(0, helper.make_node("Neg", ["image"], ["negative"]))
    model.graph.node.append(helper.make_node("Identity", ["negative"], ["unused"]))

    found = run(adopted(model, tmp_path, features=["negative"]), images())

    expected = -images().mean((2, 3))
    np.testing.assert_allclose(found["features/negative"], expected, **ROUNDING)


def test_a_temperature_is_part_of_the_logits(foreign_network: Network, tmp_path: Path) -> None:
    """Scores divided by a constant before the softmax are what the softmax reads."""
    model = foreign_network(ending="softmax")
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.FLOAT, [], [2.0]))
    model.graph.node.insert(-1, helper.make_node("Div", ["scores", "t"], ["cooler"]))
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.input[0] = "cooler"

    found = run(adopted(sorted_model(model), tmp_path), images())

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ WEIGHTS / 2, **ROUNDING)
    np.testing.assert_allclose(found["features/penultimate"], images().mean((2, 3)), **ROUNDING)


def sorted_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with the activation last."""
    nodes = sorted(model.graph.node, key=lambda node: node.op_type == "Softmax")
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


def with_output(model: onnx.ModelProto, name: str, shape: list[Any]) -> onnx.ModelProto:
    """The model with one more output."""
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return model


def test_logits_and_their_softmax_are_one_answer(foreign_network: Network, tmp_path: Path) -> None:
    """A model that gives both is no riddle."""
    model = with_output(foreign_network(ending="softmax"), "scores", ["N", CLASSES])

    found = run(adopted(model, tmp_path), images())

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ WEIGHTS, **ROUNDING)


def test_an_output_of_another_width_is_left_alone(foreign_network: Network, tmp_path: Path) -> None:
    """With four classes known, a row of three numbers is something else."""
    weights = np.random.default_rng(0).normal(size=(3, 4))
    model = with_output(foreign_network(weights=weights), "features", ["N", 3])

    found = run(adopted(model, tmp_path, classes=4), images())

    np.testing.assert_allclose(found["logits"], images().mean((2, 3)) @ weights, **ROUNDING)


def test_two_answers_are_for_the_user_to_choose_from(
    foreign_network: Network, tmp_path: Path
) -> None:
    """Two rows of as many numbers: the error names both, an option decides."""
    model = with_output(foreign_network(), "features", ["N", 3])

    with pytest.raises(InputError, match="'output', 'features' all look like class") as caught:
        adopted(model, tmp_path, classes=3)

    assert "--logits output" in str(caught.value.hint)
    found = run(adopted(model, tmp_path, logits="features"), images())
    np.testing.assert_allclose(found["logits"], images().mean((2, 3)), **ROUNDING)


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ({"classes": 5}, InputError, r"gives 'output' \(N, 3\), got 5 class names"),
        ({"logits": "nothing"}, UnknownNameError, "unknown tensor 'nothing'"),
        ({"logits": "planes"}, InputError, r"gives 'planes' \(N, 3, 16, 16\), expected one row"),
        ({"features": ["weights"]}, UnknownNameError, "unknown tensor 'weights'"),
    ],
)
def test_what_does_not_fit_is_refused(
    found: dict[str, Any],
    error: type[EdgeOodError],
    message: str,
    foreign_network: Network,
    tmp_path: Path,
) -> None:
    """One line says what the model gives and what was expected."""
    with pytest.raises(error, match=message) as caught:
        adopted(foreign_network(), tmp_path, **found)

    assert caught.value.hint
