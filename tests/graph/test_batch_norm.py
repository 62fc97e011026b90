"""Batch normalisation absorbed where it may be, and left where it may not."""

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.simplify import fold_batch_norm

TOLERANCE = 1e-5  # sums of some dozen float32 products, relative to the largest
GENERATOR = np.random.default_rng(0)


def parsed(body, opsets='"" : 18', **weights):
    """A model from ONNX's textual syntax, with initializers."""
    model = parser.parse_model(f"<ir_version: 8, opset_import: [{opsets}]> {body}")
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return model


def single(*shape):
    return GENERATOR.uniform(0.5, 2, shape).astype(np.float32)


def operators(model):
    return [node.op_type for node in model.graph.node]


def assert_same_function(model, other, *shape):
    """Equal outputs for a batch of 1 and of 3."""
    for count in (1, 3):
        x = GENERATOR.standard_normal((count, *shape)).astype(np.float32)
        for expected, got in zip(
            ReferenceEvaluator(model).run(None, {"x": x}),
            ReferenceEvaluator(other).run(None, {"x": x}),
            strict=True,
        ):
            assert expected.shape == got.shape
            assert np.abs(expected - got).max() <= TOLERANCE * np.abs(expected).max()


def normed(body, channels, **weights):
    """A graph with a batch normalisation of the parameters s, b, m, v."""
    parameters = {name: single(channels) for name in "sbmv"}
    return parsed(
        f"g (float[N, 4, 5, 5] x) => (float[N, C, H, W] y) {body}", **parameters, **weights
    )


@pytest.mark.parametrize(
    ("conv", "weights"),
    [
        ("Conv <pads = [1, 1, 1, 1]> (x, w)", {"w": single(6, 4, 3, 3)}),
        ("Conv (x, w, c)", {"w": single(6, 4, 3, 3), "c": single(6)}),
        ("Conv <group = 2, strides = [2, 2]> (x, w)", {"w": single(6, 2, 1, 1)}),
    ],
)
def test_batch_norm_after_a_convolution_is_absorbed(conv, weights):
    """Whatever the convolution's bias, groups and padding."""
    model = normed(f"{{ z = {conv} y = BatchNormalization(z, s, b, m, v) }}", 6, **weights)

    folded = fold_batch_norm(model)

    assert ["Conv"] == operators(folded)
    assert_same_function(model, folded, 4, 5, 5)


@pytest.mark.parametrize(
    ("conv", "weights"),
    [
        ("Conv (z, w, c)", {"w": single(6, 4, 3, 3), "c": single(6)}),
        ("Conv <group = 2> (z, w)", {"w": single(6, 2, 1, 1)}),
    ],
)
def test_batch_norm_before_an_unpadded_convolution_is_absorbed(conv, weights):
    """Scale and shift go through the weights of each input channel."""
    model = normed(f"{{ z = BatchNormalization(x, s, b, m, v) y = {conv} }}", 4, **weights)

    folded = fold_batch_norm(model)

    assert ["Conv"] == operators(folded)
    assert_same_function(model, folded, 4, 5, 5)


@pytest.mark.parametrize(
    "body",
    [
        "{ z = BatchNormalization(x, s, b, m, v) y = Conv <pads = [1, 1, 1, 1]> (z, w) }",
        '{ z = BatchNormalization(x, s, b, m, v) y = Conv <auto_pad = "SAME_UPPER"> (z, w) }',
        "{ z = BatchNormalization(x, s, b, m, v) c = Conv(z, w1) y = Add(z, c) }",
        "{ z = Conv(x, w1) n = BatchNormalization(z, s, b, m, v) y = Add(z, n) }",
        "{ r = Relu(x) y = BatchNormalization(r, s, b, m, v) }",
    ],
)
def test_batch_norm_stays_where_folding_would_be_wrong(body):
    """Before padding, beside another reader, or without a convolution next to it."""
    model = normed(body, 4, w=single(4, 4, 3, 3), w1=single(4, 4, 1, 1))

    folded = fold_batch_norm(model)

    assert operators(model) == operators(folded)
    assert_same_function(model, folded, 4, 5, 5)


def test_output_of_the_graph_is_not_folded_away():
    """A convolution whose own output is wanted keeps it."""
    body = "{ z = Conv(x, w) y = BatchNormalization(z, s, b, m, v) }"
    model = normed(body, 4, w=single(4, 4, 1, 1))
    model.graph.output.append(helper.make_tensor_value_info("z", 1, ["N", 4, 5, 5]))

    assert_same_function(model, fold_batch_norm(model), 4, 5, 5)


def test_convolutions_that_share_weights_are_folded_apart():
    """One batch normalisation does not change the other convolution."""
    body = """{
        a = Conv(x, w)
        n = BatchNormalization(a, s, b, m, v)
        c = Conv(x, w)
        y = Add(n, c)
    }"""
    model = normed(body, 4, w=single(4, 4, 1, 1))

    folded = fold_batch_norm(model)

    assert ["Conv", "Conv", "Add"] == operators(folded)
    assert_same_function(model, folded, 4, 5, 5)


def test_two_batch_norms_in_a_row_are_absorbed():
    """The second finds the convolution that took the first."""
    body = """{
        a = Conv(x, w)
        n = BatchNormalization(a, s, b, m, v)
        y = BatchNormalization(n, s, b, m, v)
    }"""
    model = normed(body, 4, w=single(4, 4, 1, 1))

    folded = fold_batch_norm(model)

    assert ["Conv"] == operators(folded)
    assert_same_function(model, folded, 4, 5, 5)
