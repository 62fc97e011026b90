"""The gradient of a strided convolution, in pieces that are put together once."""

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

from edge_ood.graph.gradient import with_gradient

TOLERANCE = 1e-5  # sums of some hundred float32 products, relative to the largest
GENERATOR = np.random.default_rng(0)


def graph_of(nodes, size, **weights):
    """A model whose loss is the tensor `y`."""
    body = f"g (float[N, 16, {size}, {size}] x) => (float[N, C, H, W] y) {{ {nodes} }}"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {body}')
    model.graph.initializer.extend(numpy_helper.from_array(w, n) for n, w in weights.items())
    return model


def appended(model):
    """How often the gradient has each operator."""
    extended = with_gradient(model, of="y", wrt="x")
    return Counter(node.op_type for node in extended.graph.node[len(model.graph.node) :])


def run(model, output, **feeds):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run([output], feeds)[0]


def single(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


def transposed(size, **weights):
    """The gradient of a sum of convolutions of stride 2, by onnxruntime's ConvTranspose."""
    windows = -(-size // 2)
    ones = helper.make_tensor("ones", 1, [1, 8, windows, windows], np.ones(8 * windows**2))
    nodes, parts = [helper.make_node("Constant", [], ["g"], value=ones)], []
    for name, w in weights.items():
        pads = [w.shape[2] // 2] * 4
        unused = [(size + 2 * pads[0] - w.shape[2]) % 2] * 2
        parts.append(f"{name}/out")
        nodes.append(
            helper.make_node(
                "ConvTranspose",
                ["g", name],
                [parts[-1]],
                strides=[2, 2],
                pads=pads,
                output_padding=unused,
            )
        )
    nodes.append(helper.make_node("Sum", parts, ["dx"]))
    outputs = [helper.make_tensor_value_info("dx", 1, None)]
    initializers = [numpy_helper.from_array(w, n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "t", [], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return run(model, "dx")


DOWNSAMPLING = """
    a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
    b = Conv <strides = [2, 2]> (x, v)
    y = Add(a, b)
"""


@pytest.mark.parametrize("size", [8, 7])
def test_pieces_of_two_convolutions_are_added_before_they_are_put_together(size):
    """A residual block that halves its input pays for one interleaving: 2 bands and the whole."""
    weights = {"w": single(8, 16, 3, 3), "v": single(8, 16, 1, 1)}
    model = graph_of(DOWNSAMPLING, size, **weights)
    x = np.zeros((1, 16, size, size), np.float32)

    operators = appended(model)
    gradient = run(with_gradient(model, of="y", wrt="x"), "gradient", x=x)

    assert (5, 3, 0) == tuple(operators[o] for o in ("Conv", "Concat", "ConvTranspose"))
    exact = transposed(size, **weights)
    assert np.abs(exact - gradient).max() <= TOLERANCE * np.abs(exact).max()


def test_pieces_without_a_tap_are_zero():
    """Three quarters of what a 1x1 convolution of stride 2 reads do not matter to it."""
    weights = {"v": single(8, 16, 1, 1)}
    model = graph_of("y = Conv <strides = [2, 2]> (x, v)", 6, **weights)

    gradient = run(
        with_gradient(model, of="y", wrt="x"), "gradient", x=np.zeros((2, 16, 6, 6), np.float32)
    )

    assert 1 == appended(model)["Conv"]
    np.testing.assert_allclose(
        np.repeat(transposed(6, **weights), 2, axis=0), gradient, atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ("conv", "shape", "expected"),
    [
        ("Conv <pads = [1, 1, 1, 1]> (x, w)", (8, 16, 3, 3), {"Conv": 1}),
        ("Conv <pads = [3, 0, 0, 0]> (x, w)", (8, 16, 3, 3), {"ConvTranspose": 1}),
        ("Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)", (8, 16, 3, 3), {"Conv": 4}),
        ("Conv <strides = [2, 1], pads = [1, 1, 1, 1]> (x, w)", (8, 16, 3, 3), {"Conv": 2}),
        ("Conv <strides = [2, 2], group = 16> (x, w)", (16, 1, 3, 3), {"Conv": 4}),
        ("Conv <strides = [2, 2], dilations = [2, 2]> (x, w)", (8, 16, 3, 3), {"ConvTranspose": 1}),
    ],
)
def test_form_of_the_gradient(conv, shape, expected):
    """Plain convolutions wherever they can express it; they are what runs fastest."""
    operators = appended(graph_of(f"y = {conv}", 8, w=single(*shape)))

    assert expected == {o: operators[o] for o in ("Conv", "ConvTranspose") if operators[o]}
