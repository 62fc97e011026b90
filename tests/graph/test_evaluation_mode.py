"""Networks whose answers mean nothing are refused, and others are not."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.errors import InputError
from edge_ood.graph.evaluation_mode import check_mode, check_weights
from edge_ood.graph.intake import image_input, normal_form
from edge_ood.graph.simplify import simplify

Network = Callable[..., ModelProto]


def with_weights(model: ModelProto, values: list[float], elem_type: int) -> ModelProto:
    tensor = next(t for t in model.graph.initializer if t.name == "weights")
    array = np.zeros(9)
    array[: len(values)] = values
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    tensor.CopyFrom(numpy_helper.from_array(array.reshape(3, 3).astype(dtype), "weights"))
    return model


@pytest.mark.parametrize("elem_type", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([np.nan, 1, np.nan], "^2 of 9 values of weight 'weights' are NaN$"),
        ([1, np.inf], "^1 of 9 values of weight 'weights' are infinite$"),
        ([-np.inf], "^1 of 9 values of weight 'weights' are infinite$"),
    ],
)
def test_broken_weights_are_named(
    values: list[float], message: str, elem_type: int, foreign_network: Network
) -> None:
    """How many of how many, and of which tensor."""
    with pytest.raises(InputError, match=message) as caught:
        check_weights(with_weights(foreign_network(), values, elem_type))

    assert caught.value.hint


def test_weights_in_a_constant_node_are_weights(foreign_network: Network) -> None:
    """Some exporters have no initializers at all."""
    model = foreign_network()
    weights = next(t for t in model.graph.initializer if t.name == "weights")
    broken = numpy_helper.from_array(np.full((3, 3), np.nan, np.float32))
    model.graph.initializer.remove(weights)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["weights"], value=broken))

    with pytest.raises(InputError, match="9 of 9 values of weight 'weights' are NaN"):
        check_weights(model)


def test_a_mask_of_infinities_is_no_fault(foreign_network: Network) -> None:
    """Attention adds minus infinity to what may not be seen, and Clip takes it for no limit."""
    model = foreign_network()
    model.graph.initializer.append(helper.make_tensor("mask", TensorProto.FLOAT, [1], [-np.inf]))
    model.graph.node.append(helper.make_node("Max", ["output", "mask"], ["masked"]))

    check_weights(model)


def normalising(opset: int, *, training: bool) -> ModelProto:
    more = ["", ""] if training else []
    options = {"training_mode": int(training)} if opset >= 14 else {}
    node = helper.make_node(
        "BatchNormalization", list("xsbmv"), ["y", *("m2", "v2")[: len(more)]], "norm", **options
    )
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "sbmv"}
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3, 4, 4]) for n in "xy")
    graph = helper.make_graph([node], "g", [x, *values.values()], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [9, 14, 18])
def test_batch_normalisation_in_training_mode_is_refused(opset: int) -> None:
    """Old opsets say it by further outputs."""
    check_mode(normalising(opset, training=False))
    deep = normalising(opset, training=True)
    del deep.graph.input[1:]
    deep.graph.node[0].input[0] = "seen"
    deep.graph.node.insert(0, helper.make_node("Relu", ["x"], ["seen"]))

    with pytest.raises(InputError, match=r"'norm' is in training mode.*others in its batch"):
        check_mode(deep)
    with pytest.raises(InputError, match=r"'norm' is in training mode.*others in its batch"):
        check_mode(normalising(opset, training=True))


@pytest.mark.parametrize("opset", [14, 18])
def test_weights_may_be_standardised_by_batch_normalisation(opset: int) -> None:
    """As timm's NFNets do: it says nothing of images, and is a constant of the artefact."""
    model = normalising(opset, training=True)
    generator = np.random.default_rng(0)
    names = {value.name: (3,) for value in model.graph.input[1:]} | {"weights": (1, 3, 4, 4)}
    model.graph.initializer.extend(
        numpy_helper.from_array(generator.random(shape).astype(np.float32), name)
        for name, shape in names.items()
    )
    model.graph.node[0].input[0] = "weights"
    model.graph.node.append(helper.make_node("Conv", ["x", "y"], ["logits"]))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, 1, 1])
    )

    check_mode(model)

    images = generator.random((2, 3, 4, 4)).astype(np.float32)
    simple = simplify(normal_form(model, image_input(model)))
    assert ["Conv"] == [node.op_type for node in simple.graph.node]
    weights, scale, shift = (
        numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))
        for name in ("weights", *model.graph.node[0].input[1:3])
    )
    mean, variance = (f(weights, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    normal = (weights - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None]
    expected = (images * (normal + shift[:, None, None])).sum(axis=(1, 2, 3))
    session = onnxruntime.InferenceSession(simple.SerializeToString())
    (found,) = session.run(None, {"x": images})
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_in_training_mode_is_refused(training: bool, foreign_network: Network) -> None:
    """Two runs on one image would differ."""
    model = foreign_network()
    for name, kind, value in (
        ("ratio", TensorProto.FLOAT, 0.5),
        ("mode", TensorProto.BOOL, training),
    ):
        model.graph.initializer.append(helper.make_tensor(name, kind, [], [value]))
    node = helper.make_node("Dropout", ["output", "ratio", "mode"], ["dropped"], "drop")
    model.graph.node.append(node)
    if not training:
        check_mode(model)
        return

    with pytest.raises(
        InputError, match="'drop' is in training mode: two runs on one image differ"
    ):
        check_mode(model)
