"""Files of more than ONNX's own operators and inner weights are refused, from their bytes alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_ood.artifact.model_file import check_model_bytes
from edge_ood.errors import ArtifactError


def within(nodes: list[onnx.NodeProto], **more: object) -> onnx.GraphProto:
    """A graph of these nodes, for an attribute."""
    return helper.make_graph(nodes, "inner", [], [], **more)


def outside() -> TensorProto:
    """A tensor whose data lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../w.bin")
    return tensor


def elsewhere(model: ModelProto) -> None:
    model.graph.initializer.append(outside())


def elsewhere_without_saying_so(model: ModelProto) -> None:
    """Names a file, but keeps the default location."""
    tensor = outside()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


def elsewhere_in_a_constant(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside()))


def elsewhere_in_a_sparse_one(model: ModelProto) -> None:
    sparse = onnx.SparseTensorProto(values=outside(), dims=[3])
    model.graph.sparse_initializer.append(sparse)


def elsewhere_in_an_inner_graph(model: ModelProto) -> None:
    inner = within([], initializer=[outside()])
    model.graph.node.append(helper.make_node("If", ["b"], ["y"], then_branch=inner))


def a_loop(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Loop", ["n", ""], ["y"], body=within([])))


def a_loop_in_an_inner_graph(model: ModelProto) -> None:
    inner = within([helper.make_node("Scan", ["x"], ["y"], body=within([]))])
    model.graph.node.append(helper.make_node("If", ["b"], ["y"], then_branch=inner))


def a_function(model: ModelProto) -> None:
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["x"], [], opsets))


def a_foreign_opset(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def a_foreign_operator(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (elsewhere, "weights that lie outside the file"),
        (elsewhere_without_saying_so, "weights that lie outside the file"),
        (elsewhere_in_a_constant, "weights that lie outside the file"),
        (elsewhere_in_a_sparse_one, "weights that lie outside the file"),
        (elsewhere_in_an_inner_graph, "weights that lie outside the file"),
        (a_loop, "the operator 'Loop'"),
        (a_loop_in_an_inner_graph, "the operator 'Scan'"),
        (a_function, "a function of its own"),
        (a_foreign_opset, "operators of the domain 'com.microsoft'"),
        (a_foreign_operator, "an operator of the domain 'com.microsoft'"),
    ],
)
def test_what_the_contract_does_not_have_is_refused(
    spoil: Callable[[ModelProto], None], message: str, colour_classifier: ModelProto
) -> None:
    """Wherever in the graph it is."""
    model = ModelProto()
    model.CopyFrom(colour_classifier)
    spoil(model)

    with pytest.raises(ArtifactError, match=f"'x.onnx' has {message}|'x.onnx' has it"):
        check_model_bytes(model.SerializeToString(), "x.onnx")


def test_an_artefact_passes(colour_artifact: Path) -> None:
    """What edge-ood writes has none of it."""
    check_model_bytes(colour_artifact.read_bytes(), str(colour_artifact))


def test_every_cut_file_is_refused_or_whole(colour_classifier: ModelProto) -> None:
    """A prefix of a model is damage, or itself a shorter message; never any other error."""
    content = colour_classifier.SerializeToString()
    refused = 0
    for end in range(0, len(content), 7):
        try:
            check_model_bytes(content[:end], "x.onnx")
        except ArtifactError as error:
            refused += "is cut off or overwritten" in str(error)

    assert refused > len(content) // 7 * 0.9


@pytest.mark.parametrize(
    "content", [b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"\x0f", b"\x38\x01"]
)
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    """An endless number, a field beyond the end, an unknown wire type, a number for a graph."""
    with pytest.raises(ArtifactError, match="is not a valid ONNX model"):
        check_model_bytes(content, "x.onnx")


def test_graphs_within_graphs_end() -> None:
    """A file of nested graphs is refused before Python's own recursion ends."""
    content = b""
    for _ in range(5000):  # an attribute's graph, in a node's attribute, in a graph's node
        for field in (6, 5, 1):
            content = bytes([field << 3 | 2]) + _length(len(content)) + content
    content = bytes([7 << 3 | 2]) + _length(len(content)) + content

    with pytest.raises(ArtifactError, match="is not a valid ONNX model"):
        check_model_bytes(content, "x.onnx")


def _length(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
