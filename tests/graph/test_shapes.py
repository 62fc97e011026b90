"""What is known about a graph before it runs, with the batch left open."""

import numpy as np
import pytest
from onnx import numpy_helper, parser

from edge_ood.graph.shapes import analyse, attribute


def facts_of(body, **weights):
    """Facts of a graph in ONNX's textual syntax."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {body}')
    types = {value.name: value.type for value in model.graph.input}
    tensors = {n: numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items()}
    return analyse(model.graph.node, types, tensors, model.opset_import)


def test_batch_stays_open():
    """The first size of an input is unknown, the others are as declared."""
    facts = facts_of("g (float[N, 3, 8, 8] x) => (float[N, 192] y) { y = Flatten(x) }")

    assert (None, 3, 8, 8) == facts.shape("x")
    assert (None, 192) == facts.shape("y")


def test_sizes_behind_shape_arithmetic_are_found():
    """A reshape whose target is computed from Shape has a known shape all the same."""
    facts = facts_of(
        """g (float[N, 4, 6] x) => (float[A, B, C] y) {
            s = Shape(x)
            n = Gather <axis = 0> (s, zero)
            c = Gather <axis = 0> (s, one)
            half = Div(c, two)
            t = Concat <axis = 0> (n, half, rest)
            y = Reshape(x, t)
        }""",
        zero=np.array([0]),
        one=np.array([1]),
        two=np.array([2]),
        rest=np.array([-1]),
    )

    assert (None, 2, 12) == facts.shape("y")
    np.testing.assert_array_equal([2], facts.value("half"))


def test_what_follows_the_batch_is_no_constant():
    """A number computed from the batch size has no value, nor has what is computed from it."""
    facts = facts_of(
        """g (float[N, 4] x) => (int64[M] y) {
            s = Shape <end = 1> (x)
            n = Squeeze(s)
            y = Range(zero, n, one)
        }""",
        zero=np.int64(0),
        one=np.int64(1),
    )

    assert facts.value("n") is None
    assert facts.value("y") is None
    assert (None,) == facts.shape("y")


def test_axes_of_equal_length_have_equal_extents():
    """The batch is told from another open size by its two probed values."""
    facts = facts_of(
        """g (float[N, 4] x) => (float[M] y, float[N] z) {
            y = Reshape(x, all)
            z = ReduceSum <keepdims = 0> (x, last)
        }""",
        all=np.array([-1]),
        last=np.array([1]),
    )

    assert facts.extents("x")[0] == facts.extents("z")[0]
    assert facts.extents("y")[0] != facts.extents("z")[0]


def test_weights_are_constants():
    """Initializers, and what is computed from them alone, have values."""
    facts = facts_of(
        "g (float[N, 2] x) => (float[N, 2] y) { t = Transpose(w) y = MatMul(x, t) }",
        w=np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    )

    np.testing.assert_array_equal([[1, 3], [2, 4]], facts.value("t"))
    assert facts.value("y") is None


def test_random_numbers_are_no_constants():
    """A node without inputs is not folded when it draws its output."""
    facts = facts_of("g () => (float[4] y) { y = RandomNormal <shape = [4]> () }")

    assert facts.value("y") is None


def test_open_image_sizes_stay_unknown():
    """Only the first size is probed; the others are not guessed."""
    facts = facts_of("g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Exp(x) }")

    assert (None, 3, None, None) == facts.shape("y")
    assert (None, None) == facts.extents("y")[2]


def test_unknown_operator_leaves_its_output_unknown():
    """Nothing is claimed about a tensor behind an operator of another domain."""
    facts = facts_of("g (float[N, 3] x) => (float[N, 3] y) { z = com.example.Odd(x) y = Exp(z) }")

    assert facts.shape("z") is None
    assert 0 == facts.elem_type("y")


@pytest.mark.parametrize(("name", "expected"), [("axis", 2), ("missing", "default")])
def test_attribute_has_a_default(name, expected):
    """A missing attribute gives the default."""
    (node,) = parser.parse_graph("g (float[N] x) => (float y) { y = Softmax <axis = 2> (x) }").node

    assert expected == attribute(node, name, "default")


def test_impossible_inputs_leave_the_output_unknown():
    """A node that cannot run, such as a normalisation of integers, does not end the analysis."""
    facts = facts_of("g (uint8[N, 3] x) => (float[N, 3] y) { z = Exp(x) y = Exp(z) }")

    assert facts.shape("y") is None
