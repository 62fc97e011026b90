"""Shapes written into a graph."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from edge_ood.graph.declare import declare_shapes

BODY = """g (float[N, 4] x) => (float[A] z) {
    r = Reshape(x, flat)
    p = Reshape(x, pairs)
    back = Reshape(p, rows)
    e = Exp(back)
    z = ReduceMax <keepdims = 0> (e, last)
}"""


@pytest.fixture
def model():
    """Reshapes that lose the batch's symbol in onnxruntime's own inference."""
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {BODY}')
    weights = {"flat": [-1], "pairs": [-1, 2], "rows": [-1, 4], "last": [1]}
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

    assert {"r": ["4*N"], "p": ["2*N", 2], "back": ["N", 4], "e": ["N", 4]} == declared(model)


def test_declared_model_is_valid(model):
    """ONNX's own inference finds no contradiction."""
    declare_shapes(model, model.graph.input)

    onnx.checker.check_model(model, full_check=True)


def test_symbol_is_that_of_the_source(model):
    """Whatever name the input gives to its batch."""
    source = helper.make_tensor_value_info("x", 1, ["batch", 4])

    declare_shapes(model, [source])

    assert ["batch", 4] == declared(model)["e"]


def test_tensor_inside_the_graph_can_be_the_source(model):
    """What is known about it counts, and it is declared itself."""
    source = helper.make_tensor_value_info("back", 1, ["M", 4])

    declare_shapes(model, [source])

    assert ["M", 4] == declared(model)["back"]
    assert ["M", 4] == declared(model)["e"]


def test_declaring_twice_adds_nothing(model):
    """Shapes that are there stay."""
    declare_shapes(model, model.graph.input)
    once = model.SerializeToString()

    declare_shapes(model, model.graph.input)

    assert once == model.SerializeToString()


def test_unknown_sizes_are_left_open(model):
    """Nothing is invented about an image size."""
    source = helper.make_tensor_value_info("x", 1, ["N", "W"])

    declare_shapes(model, [source])

    assert [0] == declared(model)["r"]
