"""Linear classifiers of `ai.onnx.ml`: the same numbers from ONNX's own operators."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from edge_ood.graph.endings import find_ending
from edge_ood.graph.intake import image_input, normal_form
from edge_ood.graph.linear_models import in_own_operators

Network = Callable[..., ModelProto]
ML = "ai.onnx.ml"
RNG = np.random.default_rng(0)
WEIGHTS, OFFSETS = RNG.normal(0, 3, 12), RNG.normal(0, 1, 3)
IMAGES = RNG.random((5, 2, 2, 3)).astype(np.float32)


def node(kind: str, inputs: list[str], outputs: list[str], **options: Any) -> NodeProto:
    return helper.make_node(kind, inputs, outputs, domain=ML, **options)


def classifier(
    *, opset: int = 18, labels: list[Any] | None = None, norm: str = "L1", **options: Any
) -> ModelProto:
    """Images (N, 2, 2, 3) as scikit-learn sees them: means over colours, scaled and classified."""
    names = labels or ["low", "middle", "high"]
    kind = "classlabels_strings" if isinstance(names[0], str) else "classlabels_ints"
    given = {"coefficients": WEIGHTS, "intercepts": OFFSETS, kind: names} | options
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["mixed"]),
        helper.make_node("Flatten", ["mixed"], ["rows"]),
        node("Scaler", ["rows"], ["scaled"], offset=[0.5, 0.4, 0.3, 0.2], scale=[2.0, 3, 1, 0.5]),
        node("LinearClassifier", ["scaled"], ["label", "scores"], name="linear", **given),
        node("Normalizer", ["scores"], ["shares"], norm=norm),
    ]
    texts = TensorProto.STRING if kind == "classlabels_strings" else TensorProto.INT64
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 2, 2])],
        [
            helper.make_tensor_value_info("label", texts, ["N"]),
            helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["N", len(names)]),
        ],
        [helper.make_tensor("kernel", TensorProto.FLOAT, [1, 3, 1, 1], [0.2, 0.3, 0.5])],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def answers(model: ModelProto, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    planes = IMAGES.transpose(0, 3, 1, 2)
    return [np.asarray(found) for found in session.run(list(names) or None, {"image": planes})]


def operators(model: ModelProto) -> set[str]:
    return {each.op_type for each in model.graph.node if each.domain == ML}


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("kind", ["SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("labels", [["low", "middle", "high"], [7, -3, 11]])
def test_a_classifier_gives_the_same_labels_and_shares(
    labels: list[Any], kind: str, opset: int
) -> None:
    """Multinomial and one against the rest, as onnxruntime computes its own operators."""
    model = classifier(opset=opset, labels=labels, post_transform=kind)

    own = in_own_operators(model)

    assert {"ArrayFeatureExtractor"} == operators(own)
    (label, shares), (own_label, own_shares) = answers(model), answers(own)
    assert label.tolist() == own_label.ravel().tolist()
    np.testing.assert_allclose(own_shares, shares, rtol=1e-5, atol=1e-7)


def test_a_yes_or_no_is_one_softmax() -> None:
    """Scikit-learn writes z and -z, each through a sigmoid: not two labels that may both be."""
    half = {"coefficients": [*-WEIGHTS[:4], *WEIGHTS[:4]], "intercepts": [-0.5, 0.5]}
    model = classifier(labels=["no", "yes"], post_transform="LOGISTIC", **half)

    own = in_own_operators(model)

    np.testing.assert_allclose(*(answers(m, "shares")[0] for m in (own, model)), rtol=1e-5)
    assert "softmax" == find_ending(normal_form(model, image_input(model))).activation


def test_scores_without_a_transform_stay_scores() -> None:
    """As of a linear support vector machine; what its Normalizer would do is another matter."""
    model = classifier(post_transform="NONE")

    own = in_own_operators(model)

    assert {"ArrayFeatureExtractor", "Normalizer"} == operators(own)
    model.graph.output.add(name="scores")
    own.graph.output.add(name="scores")
    np.testing.assert_allclose(*(answers(m, "scores")[0] for m in (own, model)), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"post_transform": "PROBIT"},
        {"post_transform": "SOFTMAX_ZERO"},
        {"intercepts": [1.0]},
        {"coefficients": [1.0] * 11},
    ],
)
def test_other_forms_stay_as_they_are(options: dict[str, Any]) -> None:
    """They are refused later on, by name."""
    assert "LinearClassifier" in operators(in_own_operators(classifier(**options)))


def test_a_normalizer_of_another_norm_stays() -> None:
    """It makes no shares."""
    own = in_own_operators(classifier(post_transform="SOFTMAX", norm="MAX"))

    assert {"ArrayFeatureExtractor", "Normalizer"} == operators(own)


@pytest.mark.parametrize(("kind", "said"), [("SOFTMAX", "softmax"), ("LOGISTIC", "sigmoid")])
def test_logits_and_features_are_found_in_it(kind: str, said: str) -> None:
    """What follows the scaler is features, and what precedes the transform logits."""
    model = classifier(post_transform=kind)
    normal = normal_form(model, image_input(model))

    ending = find_ending(normal, classes=3)

    assert (said, 3) == (ending.activation, ending.width)
    rows = IMAGES.reshape(5, 4, 3) @ [0.2, 0.3, 0.5]
    scaled = (rows - [0.5, 0.4, 0.3, 0.2]) * [2.0, 3, 1, 0.5]
    for name in (ending.logits, *ending.features.values()):
        normal.graph.output.add(name=name)
    logits, features = answers(normal, ending.logits, *ending.features.values())
    np.testing.assert_allclose(features, scaled, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits, scaled @ WEIGHTS.reshape(3, 4).T + OFFSETS, rtol=1e-4)


def test_a_network_without_them_stays_the_same(foreign_network: Network) -> None:
    """Nearly all of them."""
    model = foreign_network()

    assert in_own_operators(model) is model
