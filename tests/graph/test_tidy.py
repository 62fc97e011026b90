"""What makes a gradient faster leaves it what it is."""

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.draft import start
from edge_ood.graph.tidy import tidy

GENERATOR = np.random.default_rng(0)
TOLERANCE = 1e-5  # sums of some dozen float32 products


def gradient_of(body, **weights):
    """The nodes of a graph in ONNX's textual syntax, all of which belong to the gradient."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {body}')
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    draft = start(model)
    return draft, draft.facts()


def result(gradient, seed=1):
    """What the nodes compute from random inputs."""
    inputs = list(gradient.inputs.values())
    output = [helper.make_tensor_value_info(gradient.outputs[0], 1, None)]
    constants = list(gradient.weights.values())
    graph = helper.make_graph(gradient.nodes, "t", inputs, output, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    generator = np.random.default_rng(seed)
    feeds = {
        value.name: generator.standard_normal(
            [d.dim_value or 3 for d in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in inputs
    }
    return ReferenceEvaluator(model).run(None, feeds)[0]


def tidied(body, **weights):
    """Operators that are left, after checking that the result is unchanged."""
    gradient, facts = gradient_of(body, **weights)
    before = result(gradient)
    tidy(gradient, facts, {})
    after = result(gradient)
    assert before.shape == after.shape
    assert np.abs(before - after).max() <= TOLERANCE * np.abs(before).max()
    return [node.op_type for node in gradient.nodes]


def single(*shape):
    return GENERATOR.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("pair", ["e, z", "z, e"])
def test_repetition_before_a_product_is_left_to_it(pair):
    """The product broadcasts, and the Expand goes."""
    body = f"""g (float[N, 2, 1, 1] x, float[N, 2, 3, 3] z) => (float[N, 2, 3, 3] y) {{
        e = Expand(x, shape)
        y = Mul({pair})
    }}"""

    assert ["Mul"] == tidied(body, shape=np.array([1, 2, 3, 3]))


def test_repetition_stays_where_it_decides_the_shape():
    """A product of a repeated tensor with a narrow one needs the repetition."""
    body = """g (float[N, 2, 1, 1] x, float[N, 2, 1, 1] z) => (float[N, 2, 3, 3] y) {
        e = Expand(x, shape)
        y = Mul(e, z)
    }"""

    assert ["Expand", "Mul"] == tidied(body, shape=np.array([1, 2, 3, 3]))


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ("c = Conv(x, w) y = Mul(c, s)", ["Conv"]),
        ("c = Conv(x, w) y = Mul(two, c)", ["Conv"]),
        ("c = Conv(x, w) m = Mul(c, z) y = Mul(s, m)", ["Conv", "Mul"]),
        ("c = Conv(x, w) m = Mul(z, c) n = Mul(m, s) y = Mul(n, two)", ["Conv", "Mul"]),
    ],
)
def test_scale_of_channels_goes_into_the_weights(nodes, left):
    """Also through a product with a mask, and for one number for all channels."""
    body = f"g (float[N, 3, 4, 4] x, float[N, 2, 4, 4] z) => (float[N, 2, 4, 4] y) {{ {nodes} }}"

    assert left == tidied(body, w=single(2, 3, 1, 1), s=single(2, 1, 1), two=np.float32(2))


@pytest.mark.parametrize(
    "nodes",
    [
        "c = Conv(x, w) m = Mul(c, s) y = Add(m, c)",
        "c = Conv(x, w) a = Add(c, z) y = Mul(a, s)",
        "y = Mul(z, s)",
        "c = Conv(x, w) y = Mul(c, row)",
    ],
)
def test_scale_stays_where_it_cannot_be_moved(nodes):
    """The unscaled result is read too, or a sum comes between, or it is none per channel."""
    body = f"g (float[N, 3, 4, 4] x, float[N, 2, 4, 4] z) => (float[N, 2, 4, 4] y) {{ {nodes} }}"
    weights = {"w": single(2, 3, 1, 1), "s": single(2, 1, 1), "row": single(4)}

    assert "Mul" in tidied(body, **weights)


def test_unused_nodes_are_dropped():
    """What no path leads to the gradient from is not computed."""
    body = "g (float[N, 2] x) => (float[N, 2] y) { u = Exp(x) v = Exp(u) y = Neg(x) }"

    assert ["Neg"] == tidied(body)


def test_shared_weights_are_scaled_for_one_convolution_only():
    """Two convolutions with the same constant keep their own results."""
    body = """g (float[N, 3, 4, 4] x, float[N, 2, 4, 4] z) => (float[N, 2, 4, 4] y) {
        c = Conv(x, w)
        m = Mul(c, s)
        d = Conv(x, w)
        y = Add(m, d)
    }"""

    assert ["Conv", "Conv", "Add"] == tidied(body, w=single(2, 3, 1, 1), s=single(2, 1, 1))


def test_constants_have_names_of_their_own():
    """A scaled copy does not replace what another node reads."""
    gradient, facts = gradient_of(
        "g (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) { c = Conv(x, w) y = Mul(c, s) }",
        w=single(2, 3, 1, 1),
        s=single(2, 1, 1),
    )

    tidy(gradient, facts, {})

    names = [tensor.name for tensor in gradient.weights.values()]
    assert list(gradient.weights) == names
    assert all(gradient.array(name).dtype == np.float32 for name in names)


def test_a_number_gets_the_rank_of_what_it_multiplies():
    """Runtimes are slow to repeat a scalar over sizes of 1; the result's rank stays the same."""
    body = "g (float[N, 2, 1, 1] x) => (float[N, 2, 1, 1] y) { a = Add(one, x) y = Mul(a, two) }"
    gradient, facts = gradient_of(body, one=np.float32(1), two=single(1))

    tidy(gradient, facts, {})

    shapes = {tensor.name: list(tensor.dims) for tensor in gradient.weights.values()}
    numbers = [shapes[name] for node in gradient.nodes for name in node.input if name in shapes]
    assert [[1, 1, 1, 1], [1, 1, 1, 1]] == numbers
    assert ["Add", "Mul"] == tidied(body, one=np.float32(1), two=single(1))
