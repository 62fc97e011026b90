"""Operators of other domains: in the way of an answer they are refused, beside it they are cut."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from edge_ood.errors import ExportError
from edge_ood.graph.endings import find_ending
from edge_ood.graph.intake import image_input, normal_form
from edge_ood.graph.own_part import cut_to, own_part

Network = Callable[..., ModelProto]
ML = "ai.onnx.ml"


def images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, 16, 16)).astype(np.float32)


def outputs(model: ModelProto, name: str) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run([name], {"image": images()})
    return np.asarray(found)


def with_nodes(model: ModelProto, nodes: list[onnx.NodeProto], *added: str) -> ModelProto:
    """The model with more nodes, and their results as outputs before its own."""
    model.graph.node.extend(nodes)
    own = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([*map(helper.make_empty_tensor_value_info, added), *own])
    for domain in {node.domain for node in nodes} - {""}:
        model.opset_import.add(domain=domain, version=1)
    return model


def named_by_scikit_learn(model: ModelProto) -> ModelProto:
    """Ends as skl2onnx writes classifiers: a name by ArrayFeatureExtractor, a map by ZipMap."""
    model.graph.initializer.append(helper.make_tensor("names", TensorProto.INT64, [3], [7, 8, 9]))
    nodes = [
        helper.make_node("ArgMax", ["output"], ["best"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["name"], domain=ML),
        helper.make_node("Cast", ["name"], ["label"], to=TensorProto.INT64),
        helper.make_node("ZipMap", ["output"], ["map"], domain=ML, classlabels_int64s=[7, 8, 9]),
    ]
    model = with_nodes(model, nodes, "label", "map")
    del model.graph.output[2:]  # the map is all that it gives of its probabilities
    kind = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    model.graph.output[1].type.CopyFrom(helper.make_sequence_type_proto(kind))
    return model


@pytest.mark.parametrize("opset", [11, 18])
def test_names_of_classes_are_cut_off(opset: int, foreign_network: Network) -> None:
    """The answer is what ZipMap reads; the softmax before it is found as in any network."""
    expected = outputs(foreign_network(ending="softmax", opset=opset), "output")
    model = named_by_scikit_learn(foreign_network(ending="softmax", opset=opset))
    before = model.SerializeToString()

    normal = normal_form(model, image_input(model))

    assert {""} == {node.domain for node in normal.graph.node}
    ending = find_ending(normal, classes=3)
    assert ("output", "softmax", 3) == (ending.output, ending.activation, ending.width)
    np.testing.assert_allclose(outputs(normal, "output"), expected, rtol=1e-6)
    assert before == model.SerializeToString()  # whoever looks for the names finds them


def test_a_branch_of_one_runtime_is_cut_off(foreign_network: Network) -> None:
    """It is not on the way to the first output."""
    expected = outputs(foreign_network(), "output")
    extra = helper.make_node("FusedGelu", ["features"], ["extra"], domain="com.microsoft")
    model = with_nodes(foreign_network(), [extra])
    model.graph.output.append(helper.make_empty_tensor_value_info("extra"))

    part = own_part(model)

    assert ["output"] == [value.name for value in part.graph.output]
    assert "FusedGelu" not in {node.op_type for node in part.graph.node}
    np.testing.assert_array_equal(outputs(part, "output"), expected)


def fused(foreign_network: Network) -> ModelProto:
    """A network whose scores need an operator of one runtime."""
    model = foreign_network()
    model.opset_import.add(domain="com.microsoft", version=1)
    dense = next(node for node in model.graph.node if node.name == "dense")
    dense.op_type, dense.domain = "FusedMatMul", "com.microsoft"
    return model


def test_operators_of_one_runtime_in_the_way_are_refused(foreign_network: Network) -> None:
    """The error names the operator, its domain and its node."""
    with pytest.raises(ExportError, match=r"'FusedMatMul' of domain 'com.*'dense'") as caught:
        own_part(fused(foreign_network))

    assert "--logits" in str(caught.value.hint)


def test_features_are_no_answer_in_its_place(foreign_network: Network) -> None:
    """That a second output needs none of them does not make it the scores."""
    model = fused(foreign_network)
    model.graph.output.append(helper.make_empty_tensor_value_info("features"))

    with pytest.raises(ExportError, match="'output' needs operator 'FusedMatMul'"):
        own_part(model)


def test_a_tensor_that_is_named_is_the_answer(foreign_network: Network) -> None:
    """Then only it matters."""
    part = own_part(fused(foreign_network), logits="features")

    assert {""} == {node.domain for node in part.graph.node}
    assert ["features"] == [value.name for value in part.graph.output]
    with pytest.raises(ExportError, match="'product' needs operator 'FusedMatMul'"):
        own_part(fused(foreign_network), logits="product")


@pytest.mark.parametrize(
    ("operator", "domain", "told"),
    [
        ("QLinearAdd", "com.microsoft", "quant_format=QuantFormat.QDQ"),
        ("TreeEnsembleClassifier", ML, "trees, forests and support vector machines cannot"),
        ("FusedMatMul", "com.microsoft", "without optimisations for one runtime"),
    ],
)
def test_the_hint_fits_the_operator(
    operator: str, domain: str, told: str, foreign_network: Network
) -> None:
    """What helps one is of no use to another."""
    model = foreign_network()
    dense = next(node for node in model.graph.node if node.op_type == "MatMul")
    dense.op_type, dense.domain = operator, domain

    with pytest.raises(ExportError) as caught:
        own_part(model)

    assert told in str(caught.value.hint)


def test_a_classifier_of_another_domain_is_no_naming(foreign_network: Network) -> None:
    """What LinearClassifier reads is no class scores, whatever it is followed by."""
    model = foreign_network()
    linear = helper.make_node(
        "LinearClassifier",
        ["features"],
        ["label", "votes"],
        name="linear",
        domain=ML,
        coefficients=[1.0] * 9,
        classlabels_ints=[0, 1, 2],
    )
    zipped = helper.make_node("ZipMap", ["votes"], ["map"], domain=ML, classlabels_int64s=[0, 1, 2])
    model = with_nodes(model, [linear, zipped], "map")

    with pytest.raises(ExportError, match=r"'LinearClassifier' of domain 'ai.onnx.ml'"):
        own_part(model)


def test_what_a_tensor_does_not_need_is_cut_off(foreign_network: Network) -> None:
    """Nodes, weights and other outputs, whatever operators they are."""
    model = named_by_scikit_learn(foreign_network(ending="softmax"))

    cut = cut_to(model, ["features"])

    assert {"Identity", "GlobalAveragePool", "Reshape"} == {n.op_type for n in cut.graph.node}
    assert ["rows"] == [tensor.name for tensor in cut.graph.initializer]
    np.testing.assert_allclose(outputs(cut, "features"), images().mean(axis=(2, 3)), rtol=1e-6)
