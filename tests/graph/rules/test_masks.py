"""Activations at and next to the points where their slope jumps, in every element type."""

import numpy as np
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.gradient import with_gradient

TYPES = [np.float16, np.float32, np.float64]
LIMIT = 0.7  # no binary floating-point number, so its rounding depends on the element type


def slopes(op_type, points, *limits):
    """Gradient of an operator's sum at some points."""
    kind = helper.np_dtype_to_tensor_dtype(points.dtype)
    names = [f"limit{i}" for i in range(len(limits))]
    node = helper.make_node(op_type, ["x", *names], ["y"], name="node")
    constants = [
        numpy_helper.from_array(np.array(limit, points.dtype), name)
        for limit, name in zip(limits, names, strict=True)
    ]
    inputs = [helper.make_tensor_value_info("x", kind, ["N"])]
    outputs = [helper.make_tensor_value_info("y", kind, ["N"])]
    graph = helper.make_graph([node], "t", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return ReferenceEvaluator(with_gradient(model, of="y", wrt="x")).run(
        ["gradient"], {"x": points}
    )[0]


def around(limit, dtype):
    """The number itself and its neighbours."""
    limit = np.array(limit, dtype)
    low, high = np.array(-np.inf, dtype), np.array(np.inf, dtype)
    return np.array([np.nextafter(limit, low), limit, np.nextafter(limit, high)])


@pytest.mark.parametrize("dtype", TYPES)
def test_relu_passes_what_is_positive(dtype):
    """0 at 0, 1 from a number on that no activation reaches but by chance."""
    smallest = 2.0**-14 if dtype is np.float16 else 2.0**-100
    points = np.array([-1, 0, smallest, 1, 1e4], dtype)

    np.testing.assert_array_equal([0, 0, 1, 1, 1], slopes("Relu", points))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("low", [0.0, -LIMIT, LIMIT - 1])
def test_clip_passes_what_is_above_its_lower_limit(dtype, low):
    """The step is exact: 0 at the limit, 1 one rounding above."""
    _, limit, above = around(low, dtype)
    points = np.array([limit - dtype(1), limit, above + dtype(0.001)], dtype)

    np.testing.assert_array_equal([0, 0, 1], slopes("Clip", points, low, 5.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("high", [6.0, LIMIT])
def test_clip_passes_what_is_below_its_upper_limit(dtype, high):
    """1 one rounding below the limit, 0 at it and above."""
    points = around(high, dtype)

    np.testing.assert_array_equal([1, 0, 0], slopes("Clip", points, -5.0, high))
