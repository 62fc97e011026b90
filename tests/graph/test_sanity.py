"""Classifiers made to do harm: refused in one line, before anything is computed or allocated."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge_ood.errors import EdgeOodError
from edge_ood.graph.intake import image_input, normal_form, read_model
from edge_ood.graph.shapes import analyse

OWN = helper.make_opsetid("own", 1)
OPSETS = [helper.make_opsetid("", 18), OWN]


def classifier(
    before: Sequence[NodeProto],
    *,
    last: str = "seen",
    batch: int | str = "N",
    side: int = 8,
    functions: Sequence[FunctionProto] = (),
) -> ModelProto:
    """Images (N, 3, S, S) through some nodes, flattened, times weights for three classes."""
    graph = helper.make_graph(
        [
            *before,
            helper.make_node("Flatten", [last], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.ones((192, 3), np.float32), "weights")],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=8, functions=functions)


def calling(name: str, *called: str) -> FunctionProto:
    """A function that does others one after the other."""
    names = ["a", *(f"between{i}" for i in range(len(called) - 1)), "b"]
    nodes = [
        helper.make_node(each, [names[i]], [names[i + 1]], domain="" if each == "Relu" else "own")
        for i, each in enumerate(called)
    ]
    return helper.make_function("own", name, ["a"], ["b"], nodes, OPSETS)


def with_functions(first: str, *functions: FunctionProto) -> ModelProto:
    """A classifier that begins with one of its own functions."""
    node = helper.make_node(first, ["images"], ["seen"], domain="own")
    return classifier([node], functions=functions)


def chain(depth: int, width: int) -> ModelProto:
    """Functions that each call the one before them so many times."""
    inner = [calling(f"F{i}", *[f"F{i - 1}"] * width) for i in range(1, depth + 1)]
    return with_functions(f"F{depth}", calling("F0", "Relu"), *inner)


def nested(depth: int) -> bytes:
    """Attributes that are graphs of a node with such an attribute, as protobuf writes them."""

    def field(number: int, content: bytes) -> bytes:
        size, length = b"", len(content)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    graph = b""
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return field(7, graph)


RELU = helper.make_node("Relu", ["images"], ["seen"])


def refusal(content: bytes, folder: Path) -> str:
    """What our error says of a file."""
    path = folder / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(EdgeOodError) as caught:
        normal_form(model := read_model(path), image_input(model))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    ("batch", "side"),
    [(2**40, 8), (2**62, 8), (4097, 8), ("N", 2**40), ("N", 2**62), ("N", 4097)],
)
def test_sizes_that_no_memory_holds_are_refused(
    batch: int | str, side: int, tmp_path: Path
) -> None:
    """As many images are made to try the network as it is fixed to."""
    model = classifier([RELU], batch=batch, side=side)

    assert "expected at most 4096 images of 4096 px" in refusal(model.SerializeToString(), tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        with_functions("F", calling("F", "F")),
        with_functions("F", calling("F", "G"), calling("G", "F")),
        with_functions("F", calling("F", "Relu"), calling("G", "G")),
        chain(40, 2),
        chain(18, 2),
        chain(101, 1),
        chain(3000, 1),
        chain(10_001, 1),
    ],
    ids=["itself", "each other", "unused", "2^40 nodes", "2^18 nodes", "101", "3000", "10001"],
)
def test_functions_without_end_are_refused(model: ModelProto, tmp_path: Path) -> None:
    """Put in place, functions that call one another twice are as many as a power of two."""
    said = refusal(model.SerializeToString(), tmp_path)

    assert "more than 200000 nodes, or no end" in said


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_functions_that_end_are_read(depth: int, tmp_path: Path) -> None:
    """2^depth nodes and the two of the classifier."""
    path = tmp_path / "network.onnx"
    path.write_bytes(chain(depth, 2).SerializeToString())

    assert 2**depth + 2 == len(read_model(path).graph.node)


@pytest.mark.parametrize("depth", [40, 200, 10_000])
def test_graphs_without_floor_are_refused(depth: int, tmp_path: Path) -> None:
    """A graph in a graph in a graph, each of one node."""
    assert "is not a valid ONNX model" in refusal(nested(depth), tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 10_000_000, "x" * 2001])
@pytest.mark.parametrize("place", ["input", "output", "name", "op_type", "domain"])
def test_names_that_are_none_are_refused(name: str, place: str, tmp_path: Path) -> None:
    """Wherever they stand: messages, files and other libraries would take them over."""
    node = NodeProto()
    node.CopyFrom(RELU)
    if place in ("input", "output"):
        getattr(node, place)[0] = name
    else:
        setattr(node, place, name)

    said = refusal(classifier([node]).SerializeToString(), tmp_path)

    assert "a name in it has more than 2000 characters, or a NUL" in said


@pytest.mark.parametrize("size", [2**40, 2**62, -3])
def test_constants_that_are_not_there_are_refused(size: int, tmp_path: Path) -> None:
    """A size may be claimed for four bytes."""
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[size], raw_data=bytes(4))
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    add = helper.make_node("Add", ["images", "c"], ["seen"])

    assert "is not a valid" in refusal(classifier([constant, add]).SerializeToString(), tmp_path)


@pytest.mark.parametrize("attribute", ["dilations", "kernel_shape", "pads", "strides"])
@pytest.mark.parametrize("size", [2**62, 2**30, 4097, -(2**30)])
def test_windows_that_no_image_fills_are_refused(size: int, attribute: str, tmp_path: Path) -> None:
    """The network as it is would skip what is beyond the image, and the reference allocate it."""
    sizes = {"kernel_shape": [3, 3]} | {attribute: [size] * (4 if attribute == "pads" else 2)}
    pool = helper.make_node("MaxPool", ["images"], ["seen"], **sizes)

    said = refusal(classifier([pool]).SerializeToString(), tmp_path)
    inside = calling("F", "Relu")
    inside.node[0].CopyFrom(helper.make_node("MaxPool", ["a"], ["b"], **sizes))
    of_function = refusal(with_functions("F", inside).SerializeToString(), tmp_path)

    assert "more than 4096 px" in said
    assert "more than 4096 px" in of_function


@pytest.mark.parametrize("sizes", [[2**40], [2**62, 4], [2**31, 2**31], [-5]])
def test_values_that_no_memory_holds_are_not_computed(sizes: list[int]) -> None:
    """What is known of the graph leaves them out."""
    node = helper.make_node("ConstantOfShape", ["sizes"], ["zeros"])
    weights = {"sizes": numpy_helper.from_array(np.array(sizes, np.int64), "sizes")}

    assert analyse([node], {}, weights, OPSETS).value("zeros") is None


def endless() -> tuple[NodeProto, list[TensorProto]]:
    """A loop of 2^50 turns, and the constants that it reads."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["v", "v"], ["sum"]),
        ],
        "body",
        [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("v", 1, [1])],
        [info("goes", TensorProto.BOOL, []), info("sum", 1, [1])],
    )
    node = helper.make_node("Loop", ["turns", "true", "one"], ["result"], body=body)
    arrays = {"turns": np.array(2**50), "true": np.array(True), "one": np.ones(1, np.float32)}
    return node, [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def test_a_loop_is_not_run() -> None:
    """Nobody knows whether it ends."""
    node, constants = endless()
    weights = {tensor.name: tensor for tensor in constants}

    assert analyse([node], {}, weights, OPSETS).value("result") is None


def test_a_loop_on_the_way_to_the_answer_is_refused(tmp_path: Path) -> None:
    """By name, before the network is tried; the artefact could not have it."""
    node, constants = endless()
    model = classifier([node, helper.make_node("Mul", ["images", "result"], ["seen"])])
    model.graph.initializer.extend(constants)

    assert "'logits' needs a loop, 'Loop'" in refusal(model.SerializeToString(), tmp_path)


def test_a_loop_beside_the_answer_is_left_out(tmp_path: Path) -> None:
    """Nothing of it is in what is tried and adopted."""
    node, constants = endless()
    model = classifier([RELU, node])
    model.graph.initializer.extend(constants)
    model.graph.output.append(helper.make_tensor_value_info("result", 1, [1]))

    normal = normal_form(model, image_input(model))

    assert ["Relu", "Flatten", "MatMul"] == [each.op_type for each in normal.graph.node]
    assert ["logits"] == [value.name for value in normal.graph.output]
