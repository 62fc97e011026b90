"""The step against a gradient, by hand."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.step import append_step

LENGTHS = np.array([0.1, 0.2, 0.4], np.float32).reshape(1, 3, 1, 1)


def moved(gradient: np.ndarray, *, alone: bool = False, flattest: int = 0) -> np.ndarray:
    """By how much a step moves images (N, 3, 1, 2) that are 1 everywhere."""
    builder = GraphBuilder()
    found = append_step(builder, "x", "g", LENGTHS, alone=alone, flattest=flattest)
    shape = ["N", *gradient.shape[1:]]
    graph = helper.make_graph(
        builder.nodes,
        "step",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xg"],
        [helper.make_tensor_value_info(found, TensorProto.FLOAT, None)],
        builder.initializers,
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.ones_like(gradient)
    after: np.ndarray = session.run(None, {"x": x, "g": gradient})[0]
    return after - x


def gradient_of(*images: list[list[float]]) -> np.ndarray:
    """Images by channel, of two pixels each."""
    return np.array(images, np.float32).reshape(len(images), 3, 1, 2)


def test_a_step_goes_against_the_sign_of_the_gradient() -> None:
    """By its own length in each channel; a gradient of zero counts as positive."""
    gradient = gradient_of([[1, -1], [0.0, -0.0], [-2, 1e-30]])

    found = moved(gradient)

    expected = gradient_of([[-0.1, 0.1], [-0.2, -0.2], [0.4, -0.4]])
    np.testing.assert_allclose(expected, found, rtol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "expected"),
    [
        ([[1, -1], [3, 2], [-2, 0]], [[0, 0], [-0.2, 0], [0, 0]]),
        ([[1, -1], [3, 2], [-5, 0]], [[0, 0], [0, 0], [0.4, 0]]),
        ([[1, -3], [3, 2], [-3, 0]], [[0, 0.1], [0, 0], [0, 0]]),
        ([[0, 0], [0, 0], [0, 0]], [[-0.1, 0], [0, 0], [0, 0]]),
    ],
    ids=["rises", "falls", "first of equals", "flat"],
)
def test_a_step_of_one_value_moves_that_of_the_steepest_slope(
    gradient: list[list[float]], expected: list[list[float]]
) -> None:
    """Whatever its sign and channel; no other value moves."""
    found = moved(gradient_of(gradient), alone=True)

    np.testing.assert_allclose(gradient_of(expected), found, atol=1e-6)


def test_each_image_moves_in_a_place_of_its_own() -> None:
    """No image looks at the gradient of another one in the batch."""
    found = moved(gradient_of([[1, 9], [0, 0], [0, 0]], [[2, 0], [0, 0], [0, -3]]), alone=True)

    expected = gradient_of([[0, -0.1], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 0.4]])
    np.testing.assert_allclose(expected, found, atol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "flattest", "expected"),
    [
        ([[1, -1], [3, 2], [-0.5, 4]], 1, [[0, 0], [0, 0], [0.4, 0]]),
        ([[1, -1.5], [3, 2], [-0.5, 4]], 3, [[-0.1, 0.1], [0, 0], [0.4, 0]]),
        ([[0, -1], [0, 2], [-0.5, 4]], 3, [[0, 0], [0, 0], [0.4, 0]]),
    ],
    ids=["one", "three", "zeros"],
)
def test_a_step_of_the_flattest_values_leaves_the_others(
    gradient: list[list[float]], flattest: int, expected: list[list[float]]
) -> None:
    """A derivative of zero is among the smallest, and has no sign to move by."""
    found = moved(gradient_of(gradient, np.flip(gradient).tolist()), flattest=flattest)

    again = np.flip(np.sign(expected)).reshape(3, 2) * LENGTHS.reshape(3, 1)
    both = gradient_of(expected, again.tolist())
    np.testing.assert_allclose(both, found, atol=1e-6)
