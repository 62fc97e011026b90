"""Simplified graphs: fewer nodes, the same function."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from edge_ood.errors import UnknownNameError
from edge_ood.graph.simplify import fold_constants, prune, simplify

TOLERANCE = 1e-5  # sums of some dozen float32 products, relative to the largest
GENERATOR = np.random.default_rng(0)


def parsed(body, opsets='"" : 18', **weights):
    """A model from ONNX's textual syntax, with initializers."""
    model = parser.parse_model(f"<ir_version: 8, opset_import: [{opsets}]> {body}")
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return model


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


def test_shape_arithmetic_becomes_a_constant():
    """The size that follows the batch is written -1, and the batch stays open."""
    model = parsed(
        """g (float[N, 4, 6] x) => (float[A, B] y) {
            s = Shape(x)
            n = Gather <axis = 0> (s, zero)
            eight = Constant <value_ints = [8]> ()
            t = Concat <axis = 0> (n, eight, rest)
            z = Reshape(x, t)
            y = Exp(z)
        }""",
        zero=np.array([0]),
        rest=np.array([-1]),
    )

    folded = fold_constants(model)

    assert ["Reshape", "Exp"] == operators(folded)
    assert_same_function(model, folded, 4, 6)


def test_no_ops_are_dropped():
    """Identity, dropout outside training, and a reshape or cast to what a tensor is already."""
    model = parsed(
        """g (float[N, 4] x) => (float[N, 4] y) {
            a = Identity(x)
            b = Dropout(a)
            c = Reshape(b, shape)
            d = Cast <to = 1> (c)
            y = Exp(d)
        }""",
        shape=np.array([-1, 4]),
    )

    folded = fold_constants(model)

    assert ["Exp"] == operators(folded)
    assert_same_function(model, folded, 4)


@pytest.mark.parametrize("body", ["{ y = Identity(x) }", "{ w2 = Exp(w) y = Identity(w2) }"])
def test_outputs_keep_their_names(body):
    """A no-op or a constant that is an output stays."""
    model = parsed(f"g (float[N, 2] x) => (float[N, 2] y) {body}", w=np.ones(2, np.float32))

    assert_same_function(model, simplify(model), 2)


def test_random_and_large_constants_are_not_stored():
    """Neither draws nor a broadcast that would blow up the file."""
    model = parsed(
        """g (float[N, 2] x) => (float[N, 2] y) {
            r = RandomNormal <shape = [2]> ()
            big = Expand(one, shape)
            m = ReduceMax <keepdims = 0> (big)
            s = Add(r, m)
            y = Add(x, s)
        }""",
        one=np.float32(1),
        shape=np.array([1000, 1000]),
    )

    folded = fold_constants(model)

    assert "RandomNormal" in operators(folded)
    assert len(folded.SerializeToString()) < 10_000


def test_weights_declared_as_inputs_become_constants():
    """Models of IR version 3 list their initializers as inputs."""
    model = parsed(
        "g (float[N, 2] x, float[2] w) => (float[N, 2] y) { t = Exp(w) y = Mul(x, t) }",
        w=np.ones(2, np.float32),
    )

    simple = simplify(model)

    assert ["x"] == [value.name for value in simple.graph.input]
    assert ["Mul"] == operators(simple)


def test_local_functions_are_inlined():
    """A model may define operators of its own."""
    model = parsed(
        "g (float[N, 2] x) => (float[N, 2] y) { y = local.twice(x) }",
        opsets='"" : 18, "local" : 1',
    )
    node = helper.make_node("Add", ["a", "a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("local", "twice", ["a"], ["b"], [node], opsets))

    simple = simplify(model)

    assert ["Add"] == operators(simple)
    assert_same_function(model, simple, 2)


def test_simplify_leaves_its_argument_and_the_metadata():
    """A new model comes back, with everything that is not the graph."""
    model = parsed("g (float[N, 2] x) => (float[N, 2] y) { z = Identity(x) y = Exp(z) }")
    model.metadata_props.add(key="edge_ood", value="{}")
    model.producer_name = "someone"
    before = model.SerializeToString()

    simple = simplify(model)

    assert before == model.SerializeToString()
    assert model.metadata_props == simple.metadata_props
    assert (8, "someone") == (simple.ir_version, simple.producer_name)
    assert model.opset_import == simple.opset_import
    assert model.graph.output == simple.graph.output
    onnx.checker.check_model(simple, full_check=True)


PRUNABLE = """g (float[N, 2] x) => (float[N, 2] logits, float[N] energy, float[N] odin) {
    logits = Mul(x, w)
    energy = ReduceSum <keepdims = 0> (logits, axis)
    again = Mul(logits, v)
    odin = ReduceSum <keepdims = 0> (again, axis)
}"""


def prunable():
    model = parsed(PRUNABLE, w=np.ones(2, np.float32), v=np.ones(2, np.float32), axis=np.array([1]))
    model.metadata_props.add(key="edge_ood", value="{}")
    return model


def test_prune_keeps_what_the_outputs_need():
    """Nodes and weights of other outputs go; order, metadata, opset and IR version stay."""
    pruned = prune(prunable(), ["energy", "logits"])

    assert ["energy", "logits"] == [value.name for value in pruned.graph.output]
    assert ["Mul", "ReduceSum"] == operators(pruned)
    assert {"w", "axis"} == {tensor.name for tensor in pruned.graph.initializer}
    assert prunable().metadata_props == pruned.metadata_props
    assert (8, prunable().opset_import) == (pruned.ir_version, pruned.opset_import)


def test_pruned_outputs_are_unchanged():
    """What is left computes what it did."""
    x = np.array([[1.0, 2.0]], np.float32)

    got = ReferenceEvaluator(prune(prunable(), ["odin"])).run(None, {"x": x})

    np.testing.assert_array_equal([3.0], got[0])


def test_prune_names_the_closest_output():
    """An unknown output is an error with a hint."""
    with pytest.raises(UnknownNameError) as caught:
        prune(prunable(), ["enrgy"])

    assert "energy" == caught.value.closest


def test_prune_keeps_what_a_branch_reads():
    """A node inside an If may read tensors of the graph around it."""
    branch = "g () => (float[N, 2] {0}) {{ {0} = Mul(x, {1}) }}"
    graphs = [parser.parse_graph(branch.format(f"y{w}", w)) for w in ("w", "v")]
    model = prunable()
    chosen = helper.make_node("If", ["on"], ["y"], then_branch=graphs[0], else_branch=graphs[1])
    model.graph.node.append(chosen)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))
    model.graph.output.append(helper.make_tensor_value_info("y", 1, ["N", 2]))

    pruned = prune(model, ["y"])

    assert {"w", "v", "on"} == {tensor.name for tensor in pruned.graph.initializer}
