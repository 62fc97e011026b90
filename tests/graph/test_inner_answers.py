"""What an artefact computes on its way to a score: distances to every class, and gradients."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.graph.assemble import assemble
from edge_ood.graph.inner_answers import CLASS_INDEX, with_chosen_class, with_gradients
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import bind_parameters
from edge_ood.scores import HEADS, BoundHead

SIZE, CLASSES = 2, 4
PREPROCESS = Preprocess(SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
WEIGHTS = {"first": 0.5, "second": 2.0}
"""Of layers, in the score."""


def generator() -> np.random.Generator:
    """The same numbers each time."""
    return np.random.default_rng(3)


def pixels() -> NDArray[np.uint8]:
    """One image (1, 2, 2, 3)."""
    return generator().integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)


def flat(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Images as rows (N, 12), the channels first, in [0, 1]."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1) / 255


def matrices() -> dict[str, NDArray[np.float32]]:
    """What each layer multiplies the pixels by."""
    numbers = generator()
    return {name: numbers.normal(size=(12, 3)).astype(np.float32) for name in WEIGHTS} | {
        "logits": numbers.normal(size=(12, CLASSES)).astype(np.float32)
    }


def classifier() -> ModelProto:
    """Two layers of features and logits, each linear in the pixels."""
    names = {f"features/{name}": name for name in WEIGHTS} | {"logits": "logits"}
    nodes = [helper.make_node("Flatten", ["input"], ["row"])]
    nodes += [helper.make_node("MatMul", ["row", f"w/{w}"], [out]) for out, w in names.items()]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", matrices()[w].shape[1]])
            for out, w in names.items()
        ],
        [numpy_helper.from_array(array, f"w/{name}") for name, array in matrices().items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def gaussians() -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By layer the class means (K, 3), and the covariance (3, 3)."""
    numbers = generator()
    return {
        name: (numbers.normal(size=(CLASSES, 3)), np.cov(numbers.normal(size=(3, 9))))
        for name in WEIGHTS
    }


def artifact(head: str = "mahalanobis", **parameters: Any) -> ModelProto:
    """An artefact of one head, with the statistics of these Gaussians."""
    statistics: dict[str, Any] = {}
    for name, (means, covariance) in gaussians().items():
        whitening = np.linalg.cholesky(np.linalg.inv(covariance))
        centre = means.mean(axis=0)
        statistics |= {
            f"{name}/centre": centre,
            f"{name}/whitening": whitening,
            f"{name}/means": (means - centre) @ whitening,
            f"{name}/weight": np.array(WEIGHTS[name]),
        }
    found = HEADS.get(head)
    bound = BoundHead(found, bind_parameters(found.score, parameters, owner=head), statistics)
    return assemble(classifier(), PREPROCESS, [bound], primary=head)


def answers(model: ModelProto, feeds: dict[str, Any]) -> list[NDArray[Any]]:
    """All outputs of a model, which is sound."""
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def distances(model: ModelProto) -> NDArray[np.float32]:
    """To every class, of the image."""
    made = with_chosen_class(model, "mahalanobis")
    assert made is not None
    (found,) = answers(made, {"images": pixels(), CLASS_INDEX: np.arange(CLASSES)})
    return found


def test_distances_are_those_of_scipy() -> None:
    """Squared, from the covariance itself, and summed over layers by their weights."""
    spatial = pytest.importorskip("scipy.spatial.distance")
    expected = np.zeros(CLASSES)
    for name, (means, covariance) in gaussians().items():
        row = flat(pixels()) @ matrices()[name]
        inverse = np.linalg.inv(covariance)
        expected += WEIGHTS[name] * spatial.cdist(row, means, "mahalanobis", VI=inverse)[0] ** 2

    np.testing.assert_allclose(expected, distances(artifact(normalize=False)), rtol=1e-4)


def test_classes_may_be_asked_for_in_any_order() -> None:
    """One, or some, or one of them twice."""
    model = artifact()
    made = with_chosen_class(model, "mahalanobis")
    assert made is not None

    (found,) = answers(made, {"images": pixels(), CLASS_INDEX: np.array([2, 0, 2])})

    np.testing.assert_array_equal(distances(model)[[2, 0, 2]], found)


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_of_a_moved_image_the_distances_are_those_of_the_score(epsilon: float) -> None:
    """The step that the head takes goes to the nearest class, whichever is asked for."""
    model = artifact(epsilon=epsilon)
    layers = {name: BoundLayer(name, epsilon) for name in WEIGHTS}
    expected = sum(WEIGHTS[name] * layers[name].distances() for name in WEIGHTS)

    np.testing.assert_allclose(expected, distances(model), rtol=1e-3)


class BoundLayer:
    """One layer by hand, on the image moved against the gradient of its own nearest distance."""

    def __init__(self, name: str, epsilon: float) -> None:
        self._matrix = matrices()[name].astype(np.float64)
        self._means, covariance = gaussians()[name]
        self._inverse = np.linalg.inv(covariance)
        self._epsilon = epsilon

    def _at(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        features = row @ self._matrix
        rest = features / np.linalg.norm(features) - self._means
        return np.einsum("ki,ij,kj->k", rest, self._inverse, rest)

    def distances(self) -> NDArray[np.float64]:
        """Squared distances (K,), by a gradient of central differences."""
        (row,) = flat(pixels())
        steps = 1e-6 * np.eye(len(row))
        slopes = np.array([self._at(row + d).min() - self._at(row - d).min() for d in steps])
        return self._at(row - self._epsilon * np.where(slopes >= 0, 1, -1))


def test_a_score_without_a_nearest_class_has_no_distances() -> None:
    """Energy is none."""
    assert with_chosen_class(artifact("energy"), "energy") is None


def test_gradients_are_those_of_differences() -> None:
    """Of ODIN's loss, which is that of the predicted class at T = 1000."""
    made = with_gradients(artifact("odin", epsilon=0.01), "odin")
    assert made is not None
    (row,) = flat(pixels())

    def loss(values: NDArray[np.float64]) -> float:
        scaled = values @ matrices()["logits"].astype(np.float64) / 1000
        return float(np.log(np.exp(scaled - scaled.max()).sum()))

    steps = 1e-3 * np.eye(len(row))
    expected = [(loss(row + step) - loss(row - step)) / 2e-3 for step in steps]
    (found,) = answers(made, {"images": pixels()})

    assert (1, 3, SIZE, SIZE) == found.shape
    np.testing.assert_allclose(expected, found.ravel(), rtol=1e-3)


def test_each_layer_has_a_gradient_of_its_own() -> None:
    """As each moves an image of its own."""
    made = with_gradients(artifact(epsilon=0.01), "mahalanobis")

    assert made is not None
    assert 2 == len(answers(made, {"images": pixels()}))


@pytest.mark.parametrize("head", ["energy", "mahalanobis", "odin"])
def test_a_score_that_moves_nothing_has_no_gradient(head: str) -> None:
    """Without a step the file has none."""
    parameters = {} if head == "energy" else {"epsilon": 0.0}

    assert with_gradients(artifact(head, **parameters), head) is None


def test_the_artefact_stays_as_it_is() -> None:
    """Nothing is stored for an explanation."""
    model = artifact(epsilon=0.01)
    before = model.SerializeToString()

    with_chosen_class(model, "mahalanobis")
    with_gradients(model, "mahalanobis")

    assert before == model.SerializeToString()
