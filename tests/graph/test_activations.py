"""What stands behind the logits: undone where it keeps the order of classes, else left alone."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, helper, numpy_helper

from edge_ood.graph.activations import Step, applied, described
from edge_ood.graph.endings import Ending, find_ending
from edge_ood.graph.intake import image_input, normal_form

Network = Callable[..., onnx.ModelProto]
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}

NUMBERS = {
    "hundred": 100.0,
    "most": 0.9,
    "rest": 0.1 / 3,
    "low": 1e-7,
    "high": 1 - 1e-7,
    "one": 1.0,
    "minus": -1.0,
    "each": [1.0, 2.0, 3.0],
    "classes": np.array([1]),
}


def ended(model: onnx.ModelProto, *operators: Sequence[object]) -> onnx.ModelProto:
    """The model with operators behind its output, each named with its inputs; `_` is the last."""
    last = "output"
    model.graph.node[-1].output[0] = last = "t0"
    for i, (operator, *inputs) in enumerate(operators):
        last, before = f"t{i + 1}", last
        names = [before if name == "_" else str(name) for name in inputs]
        model.graph.node.append(helper.make_node(str(operator), names, [last]))
    model.graph.node[-1].output[0] = "output"
    read = {name for node in model.graph.node for name in node.input}
    for name, number in NUMBERS.items():
        if name in read:
            dtype = np.int64 if name == "classes" else np.float32
            tensor = numpy_helper.from_array(np.array(number, dtype), name)
            model.graph.initializer.append(tensor)
    onnx.checker.check_model(model)
    return model


def ending_of(model: onnx.ModelProto) -> Ending:
    return find_ending(normal_form(model, image_input(model)))


def tensors(model: onnx.ModelProto, *names: str) -> list[np.ndarray]:
    """What onnxruntime computes for tensors of the file as it came."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in model.graph.output}
    for name in names:
        if name not in known:
            shown.graph.output.append(helper.make_empty_tensor_value_info(name))
    images = np.random.default_rng(0).random((5, 3, 16, 16)).astype(np.float32)
    session = onnxruntime.InferenceSession(shown.SerializeToString())
    return [np.asarray(array, np.float64) for array in session.run(names, {"image": images})]


SPELLED = (
    ("ReduceMax", "_", "classes"),
    ("Sub", "t0", "_"),
    ("Exp", "_"),
    ("ReduceSum", "_", "classes"),
    ("Div", "t3", "_"),
)


@pytest.mark.parametrize(
    ("ending", "operators", "said"),
    [
        ("softmax", [("Mul", "_", "hundred")], "softmax, times 100"),
        ("softmax", [("Mul", "hundred", "_")], "softmax, times 100"),
        ("softmax", [("Div", "_", "hundred")], "softmax, times 0.01"),
        ("softmax", [("Clip", "_", "low", "high")], "softmax, kept within [1e-07, 1]"),
        ("softmax", [("Clip", "_", "", "high")], "softmax, kept within [-inf, 1]"),
        (
            "softmax",
            [("Mul", "_", "most"), ("Add", "_", "rest")],
            "softmax, times 0.9, plus 0.0333333",
        ),
        ("softmax", [("Sub", "_", "rest")], "softmax, plus -0.0333333"),
        ("softmax", [("Softmax", "_")], "softmax, softmax"),
        ("sigmoid", [("Softmax", "_")], "sigmoid, softmax"),
        ("softmax", [("Mul", "_", "hundred"), ("Softmax", "_")], "softmax, times 100, softmax"),
        ("softmax", [("Log", "_")], "softmax, its logarithm"),
        ("log_softmax", [("Exp", "_")], "log-softmax, exp"),
        ("sigmoid", [("Max", "_", "low")], "sigmoid, kept within [1e-07, inf]"),
        (
            "sigmoid",
            [("ReduceSum", "_", "classes"), ("Div", "t0", "_")],
            "sigmoid, divided by its sum",
        ),
        ("logits", SPELLED, "softmax"),
        ("logits", (*SPELLED[2:3], ("ReduceSum", "_", "classes"), ("Div", "t1", "_")), "softmax"),
    ],
)
def test_what_keeps_the_order_of_classes_is_undone(
    ending: str, operators: Sequence[Sequence[object]], said: str, foreign_network: Network
) -> None:
    """The logits are before it, and the steps lead from them to what onnxruntime gives."""
    model = ended(foreign_network(ending=ending), *operators)

    found = ending_of(model)

    assert said == described(found.steps)
    logits, output, scores = tensors(model, found.logits, "output", "scores")
    np.testing.assert_allclose(logits, scores, **ROUNDING)
    np.testing.assert_allclose(applied(found.steps, logits), output, **ROUNDING)
    assert {"penultimate": "features"} == dict(found.features)


@pytest.mark.parametrize(
    "operators",
    [
        [("Mul", "_", "each")],
        [("Mul", "_", "minus")],
        [("Sub", "one", "_")],
        [("Div", "one", "_")],
        [("Neg", "_")],
        [("Exp", "_"), ("Mul", "t0", "_")],
    ],
)
def test_what_puts_classes_in_another_order_is_left_alone(
    operators: Sequence[Sequence[object]], foreign_network: Network
) -> None:
    """Behind it, the largest number may be another class's."""
    model = ended(foreign_network(ending="softmax"), *operators)

    found = ending_of(model)

    assert ((), "output") == (found.steps, found.logits)


def test_a_limit_that_the_image_decides_is_left_alone(foreign_network: Network) -> None:
    """`Clip` to a number that was computed."""
    peak: NodeProto = helper.make_node("ReduceMax", ["t0"], ["peak"], keepdims=0)
    model = foreign_network(ending="softmax")
    ended(model, ("Identity", "_"))
    model.graph.node[-1].input[0] = "cut"
    model.graph.node.insert(len(model.graph.node) - 1, peak)
    cut = helper.make_node("Clip", ["t0", "", "peak"], ["cut"])
    model.graph.node.insert(len(model.graph.node) - 1, cut)

    assert () == ending_of(model).steps


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("exp"), [[1.0, math.e]]),
        (Step("scale", 3), [[0.0, 3.0]]),
        (Step("shift", -1), [[-1.0, 0.0]]),
        (Step("clip", 0.25, 0.5), [[0.25, 0.5]]),
        (Step("normalise"), [[0.0, 1.0]]),
        (Step("sigmoid"), [[0.5, 1 / (1 + math.exp(-1))]]),
        (Step("softmax"), [[1 / (1 + math.e), math.e / (1 + math.e)]]),
        (Step("log"), [[-math.inf, 0.0]]),
    ],
)
def test_a_step_computes_what_it_is_called(step: Step, expected: list[list[float]]) -> None:
    """Of a row [0, 1]."""
    np.testing.assert_allclose(applied([step], np.array([[0.0, 1.0]])), expected)
