"""The reference's own operators against torch, in float64."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch.nn import functional

from edge_ood.parity.operators import OPERATORS

DOUBLE = {"rtol": 1e-12, "atol": 1e-12}
CHANNELS = 6
X = np.random.default_rng(0).normal(size=(2, CHANNELS, 11, 9))
GEOMETRIES = list(product((1, 2), (0, 1), (1, 2)))


def run(op_type: str, *arrays: np.ndarray, outputs: int = 1, **attributes: Any) -> np.ndarray:
    """The first output of one operator."""
    names = [f"input {number}" for number in range(len(arrays))]
    results = [f"output {number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, results, **attributes)],
        "one operator",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in names],
        [helper.make_tensor_value_info(results[0], TensorProto.DOUBLE, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    feed = dict(zip(names, arrays, strict=True))
    return ReferenceEvaluator(model, new_ops=OPERATORS).run(None, feed)[0]


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize(("stride", "pad", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("group", [1, 2, CHANNELS])
@pytest.mark.parametrize("filters", [CHANNELS, 2 * CHANNELS])
def test_convolutions(filters: int, group: int, stride: int, pad: int, dilation: int) -> None:
    """Grouped, depthwise, strided, padded and dilated ones, both ways."""
    geometry = {"strides": [stride, 1], "pads": [pad] * 4, "dilations": [dilation] * 2}
    theirs = {"stride": (stride, 1), "padding": pad, "dilation": dilation, "groups": group}
    forward, bias = weights(filters, CHANNELS // group, 3, 2), weights(filters)
    back, extra = weights(CHANNELS, filters // group, 3, 2), [stride - 1, 0]

    found = run("Conv", X, forward, bias, group=group, **geometry)
    transposed = run("ConvTranspose", X, back, bias, group=group, output_padding=extra, **geometry)

    x, w, b = map(torch.from_numpy, (X, forward, bias))
    np.testing.assert_allclose(found, functional.conv2d(x, w, b, **theirs), **DOUBLE)
    expected = functional.conv_transpose2d(
        x, torch.from_numpy(back), b, output_padding=extra, **theirs
    )
    np.testing.assert_allclose(transposed, expected, **DOUBLE)


@pytest.mark.parametrize(("stride", "pad", "dilation"), GEOMETRIES)
def test_largest_of_windows(stride: int, pad: int, dilation: int) -> None:
    """Pads never are the largest."""
    geometry = {"strides": [stride] * 2, "pads": [pad] * 4, "dilations": [dilation] * 2}

    found = run("MaxPool", X - 10, kernel_shape=[3, 2], **geometry)

    expected = functional.max_pool2d(torch.from_numpy(X - 10), (3, 2), stride, pad, dilation)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("with_pads", [True, False])
@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 1)])
def test_means_of_windows(stride: int, pad: int, with_pads: bool) -> None:
    """Pads count as zeros, or do not count."""
    found = run(
        "AveragePool",
        X,
        kernel_shape=[3, 2],
        strides=[stride] * 2,
        pads=[pad] * 4,
        count_include_pad=int(with_pads),
    )

    expected = functional.avg_pool2d(
        torch.from_numpy(X), (3, 2), stride, pad, count_include_pad=with_pads
    )
    np.testing.assert_allclose(found, expected, **DOUBLE)


def test_rare_forms_are_those_of_onnx() -> None:
    """Pads by name, rounded-up sizes and places of maxima."""
    x, w = torch.from_numpy(X), weights(4, CHANNELS, 3, 3)
    same = functional.conv2d(x, torch.from_numpy(w), padding="same")
    largest = functional.max_pool2d(x, 2, ceil_mode=True)
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}

    np.testing.assert_allclose(run("Conv", X, w, auto_pad="SAME_UPPER"), same, **DOUBLE)
    np.testing.assert_array_equal(run("MaxPool", X, ceil_mode=1, **pool), largest)
    found = run("MaxPool", X, outputs=2, **pool)
    np.testing.assert_array_equal(found, functional.max_pool2d(x, 2))
