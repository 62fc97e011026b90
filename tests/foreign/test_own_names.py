"""Class names in somebody else's file: read where they are names, left alone where they are not."""

import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_ood.foreign.own_names import own_names

Network = Callable[..., onnx.ModelProto]
ML = "ai.onnx.ml"


def with_metadata(model: onnx.ModelProto, text: str) -> onnx.ModelProto:
    helper.set_model_props(model, {"stride": "32", "names": text})
    return model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            str({0: "green", 1: "red apple", 2: "it's {blue}"}),
            ("green", "red apple", "it's {blue}"),
        ),
        (str({1: "b", 0: "a"}), ("a", "b")),
        (json.dumps({"0": "grün", "1": 'a "b"'}), ("grün", 'a "b"')),
        (str({1: "a", 2: "b"}), ()),
        (str({0: "a", 1: "a"}), ()),
        (str({0: "a", 1: " "}), ()),
        (str({0: "a" * 201, 1: "b"}), ()),
        (str({0: "a"}), ()),
        (str(["a", "b"]), ()),
        (str({0: ["a"], 1: "b"}), ()),
        ("{0: 'a', 1: 'b'} or exit()", ()),
        ("{0: 'a', 1: '\\x'}", ()),
        ("{0: 'a' 1: 'b'}", ()),
        ("{" * 100_000, ()),
        ("{0: " + "-" * 100_000 + "1}", ()),
        ("{0: 'a', " * 100_000, ()),
        ("{0: '" + "a" * (1 << 20) + "'}", ()),
        ("", ()),
    ],
)
def test_names_as_ultralytics_writes_them(
    text: str, expected: tuple[str, ...], foreign_network: Network
) -> None:
    """A flat dict by number; nothing else is given to Python's parser."""
    assert expected == own_names(with_metadata(foreign_network(), text))


def test_a_file_without_names_has_none(foreign_network: Network) -> None:
    """The usual case."""
    assert () == own_names(foreign_network())


def with_node(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    model.graph.node.append(node)
    return model


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            helper.make_node(
                "ZipMap", ["output"], ["map"], domain=ML, classlabels_strings=["b", "a", "ö"]
            ),
            ("b", "a", "ö"),
        ),
        (
            helper.make_node(
                "ZipMap", ["output"], ["map"], domain=ML, classlabels_int64s=[7, 3, 5]
            ),
            ("7", "3", "5"),
        ),
        (
            helper.make_node(
                "LabelEncoder",
                ["label"],
                ["name"],
                domain=ML,
                keys_int64s=[2, 0, 1],
                values_strings=["c", "a", "b"],
            ),
            ("a", "b", "c"),
        ),
        (
            helper.make_node(
                "LabelEncoder",
                ["label"],
                ["name"],
                domain=ML,
                keys_int64s=[5, 6],
                values_strings=["c", "a"],
            ),
            (),
        ),
        (helper.make_node("ZipMap", ["output"], ["map"], classlabels_strings=["a", "b"]), ()),
    ],
)
def test_labels_of_its_ending(
    node: onnx.NodeProto, expected: tuple[str, ...], foreign_network: Network
) -> None:
    """Operators of `ai.onnx.ml` put them to the numbers of the outputs."""
    assert expected == own_names(with_node(foreign_network(), node))


@pytest.mark.parametrize("values", [["x", "y", "z"], [10, 20, 30]])
def test_labels_that_an_array_holds(values: list[object], foreign_network: Network) -> None:
    """scikit-learn's converter looks them up by `ArrayFeatureExtractor`."""
    model = foreign_network()
    array = np.array(values, object if isinstance(values[0], str) else np.int64)
    model.graph.initializer.append(numpy_helper.from_array(array, "labels"))
    node = helper.make_node("ArrayFeatureExtractor", ["labels", "best"], ["label"], domain=ML)

    assert tuple(map(str, values)) == own_names(with_node(model, node))
