"""Shapes written into a graph."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from edge_ood.graph.declare import declare_shapes

BODY = """g (float[N, 1, 2, 2] x) => (float[A] z) {
    tall = Reshape(x, pairs)
    flat = Reshape(tall, rows)
    back = Reshape(flat, squares)
    e = Exp(back)
    z = Reshape(e, all)
}"""


@pytest.fixture
def model():
    """Reshapes that lose the batch's symbol in onnxruntime's own inference."""
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {BODY}')
    weights = {"pairs": [-1, 1, 1, 2], "rows": [-1, 4], "squares": [-1, 1, 2, 2], "all": [-1]}
    made.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in weights.items()
    )
    return made


def declared(model):
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }


def test_batch_keeps_its_symbol(model):
    """A size equal to the batch has its name, a multiple is written as one."""
    declare_shapes(model, model.graph.input)

    maps = {"tall": ["2*N", 1, 1, 2], "back": ["N", 1, 2, 2], "e": ["N", 1, 2, 2]}
    assert maps == declared(model)


def test_declared_model_is_valid(model):
    """ONNX's own inference finds no contradiction."""
    declare_shapes(model, model.graph.input)

    onnx.checker.check_model(model, full_check=True)


def test_symbol_is_that_of_the_source(model):
    """Whatever name the input gives to its batch."""
    source = helper.make_tensor_value_info("x", 1, ["batch", 1, 2, 2])

    declare_shapes(model, [source])

    assert ["batch", 1, 2, 2] == declared(model)["e"]


def test_tensor_inside_the_graph_can_be_the_source(model):
    """What is known about it counts, and it is declared itself."""
    source = helper.make_tensor_value_info("back", 1, ["M", 1, 2, 2])

    declare_shapes(model, [source])

    assert ["M", 1, 2, 2] == declared(model)["back"]
    assert ["M", 1, 2, 2] == declared(model)["e"]


def test_declaring_twice_adds_nothing(model):
    """Shapes that are there stay."""
    declare_shapes(model, model.graph.input)
    once = model.SerializeToString()

    declare_shapes(model, model.graph.input)

    assert once == model.SerializeToString()


def test_unknown_sizes_are_left_open(model):
    """Nothing is invented about an image size."""
    source = helper.make_tensor_value_info("x", 1, ["N", 1, "H", "W"])

    declare_shapes(model, [source])

    assert [0, 1, 1, 2] == declared(model)["tall"]
