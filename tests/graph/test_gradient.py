"""Gradients of small graphs: what is appended, and what is refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import append_gradient, append_replay, with_gradient
from edge_ood.graph.step import append_step


def parsed(body, opset=18, **weights):
    """A model from ONNX's textual syntax, with initializers."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {body}')
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    return model


def builder_of(model):
    builder = GraphBuilder()
    builder.nodes.extend(model.graph.node)
    builder.initializers.extend(model.graph.initializer)
    return builder


def run(model, *arrays):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})


def run_builder(builder, output, **arrays):
    """One tensor of what a builder holds, given others."""
    sources = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in arrays.items()]
    target = [helper.make_tensor_value_info(output, 1, None)]
    graph = helper.make_graph(builder.nodes, "t", sources, target, builder.initializers)
    opsets = [helper.make_opsetid("", 18)]
    return run(helper.make_model(graph, opset_imports=opsets, ir_version=8), *arrays.values())[0]


def refusal(body, wrt="x", opset=18, **weights):
    """The error that the gradient of `loss` gives."""
    with pytest.raises(ExportError) as caught:
        with_gradient(parsed(body, opset, **weights), of="loss", wrt=wrt)
    return caught.value


def test_model_keeps_its_outputs_and_metadata():
    """The gradient is one more output; nothing else changes."""
    model = parsed("g (float[N, 2] x) => (float[N, 2] loss) { loss = Exp(x) }")
    model.metadata_props.add(key="k", value="v")
    before = model.SerializeToString()

    extended = with_gradient(model, of="loss", wrt="x", output="slope")

    assert before == model.SerializeToString()
    assert ["loss", "slope"] == [value.name for value in extended.graph.output]
    assert model.metadata_props == extended.metadata_props
    assert model.opset_import == extended.opset_import
    assert model.ir_version == extended.ir_version


def test_gradient_of_a_loss_with_labels():
    """Other inputs of the model may decide the loss, as the labels of an attack do."""
    model = parsed(
        """g (float[N, 3] x, int64[N, 1] labels) => (float[N, 1] loss) {
            p = LogSoftmax <axis = 1> (x)
            loss = GatherElements <axis = 1> (p, labels)
        }"""
    )
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, np.log(2)]], np.float32)

    gradient = run(with_gradient(model, of="loss", wrt="x"), x, np.array([[1], [2]]))[1]

    expected = [[-1 / 3, 2 / 3, -1 / 3], [-1 / 4, -1 / 4, 1 / 2]]
    np.testing.assert_allclose(expected, gradient, atol=1e-6)


def test_gradient_by_a_tensor_inside_the_graph():
    """What lies before that tensor is not looked at, whatever operators it has."""
    model = parsed(
        "g (float[N, 2] image) => (float[N, 2] loss) { x = Sin(image) loss = Mul(x, x) }"
    )
    builder = builder_of(model)
    inside = helper.make_tensor_value_info("x", 1, ["N", 2])
    image = np.array([[0.5, -1.0]], np.float32)

    name = append_gradient(builder, of="loss", wrt="x", inputs=[inside])

    np.testing.assert_allclose(
        2 * np.sin(image), run_builder(builder, name, image=image), rtol=1e-6
    )


def test_cotangent_weights_the_loss():
    """Elements of a tensor that is no loss per image can be weighted."""
    builder = builder_of(parsed("g (float[N, 2] x) => (float[N, 2] y) { y = Exp(x) }"))
    source = helper.make_tensor_value_info("x", 1, ["N", 2])
    x, weight = np.zeros((1, 2), np.float32), np.array([[2.0, -3.0]], np.float32)

    name = append_gradient(builder, of="y", wrt="x", inputs=[source], cotangent="c")

    np.testing.assert_allclose(weight, run_builder(builder, name, x=x, c=weight))


def test_predicted_class_is_a_constant():
    """No gradient passes through ArgMax or a comparison, and no rule for them is needed."""
    model = parsed(
        """g (float[N, 3] x) => (float[N] loss) {
            best = ArgMax <axis = 1, keepdims = 0> (x)
            mean = Gather <axis = 0> (means, best)
            big = Less(one, x)
            chosen = Where(big, x, mean_row)
            d = Sub(chosen, mean)
            s = Mul(d, d)
            loss = ReduceSum <keepdims = 0> (s, axis)
        }""",
        means=np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]], np.float32),
        one=np.float32(1),
        mean_row=np.zeros(3, np.float32),
        axis=np.array([1]),
    )

    gradient = run(
        with_gradient(model, of="loss", wrt="x"), np.array([[2.0, 5.0, 0.0]], np.float32)
    )[1]

    np.testing.assert_allclose([[2.0, 8.0, 0.0]], gradient)


def test_unknown_operator_is_named():
    """The error names operator and node, and says what can be done."""
    error = refusal('g (float[N, 2] x) => (float[N, 2] loss) { ["wave"] loss = Sin(x) }')

    assert "no gradient rule for operator 'Sin' (node 'wave')" == str(error)
    assert "edge_ood/graph/rules" in error.hint


def test_foreign_domain_is_refused():
    """An operator of another domain is not taken for its namesake."""
    model = parsed("g (float[N, 2] x) => (float[N, 2] loss) { loss = Relu(x) }")
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))

    with pytest.raises(ExportError, match="'Relu'"):
        with_gradient(model, of="loss", wrt="x")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{ loss = Sign(x) }", "derivative of 'loss' by 'x' is zero everywhere"),
        ("{ s = Shape(x) loss = Cast <to = 1> (s) }", "'loss' does not depend on 'x'"),
        ("{ loss, m = Dropout(x, half, true) }", "is in training mode"),
    ],
)
def test_impossible_gradients_are_refused(body, message):
    """A loss without a gradient is an error, not a gradient of zeros."""
    error = refusal(
        f"g (float[N, 2] x) => (float[N, 2] loss) {body}", half=np.float32(0.5), true=np.True_
    )

    assert message in str(error)


def test_weights_computed_from_the_images_are_refused():
    """The rule of a convolution knows its input only."""
    error = refusal("g (float[N, 1, 4, 4] x) => (float[N, 1, 1, 1] loss) { loss = Conv(x, x) }")

    assert "Conv" in str(error)


def test_second_output_has_no_gradient():
    """A gradient that arrives where no rule expects it is an error."""
    error = refusal(
        "g (float[N, 4] x) => (float[N, 1] loss) { y, loss = LayerNormalization(x, w) }",
        w=np.ones(4, np.float32),
    )

    assert "LayerNormalization" in str(error)
    assert "first output" in str(error)


def test_open_image_size_is_refused_where_it_matters():
    """A rule that needs a number says which tensor has none."""
    error = refusal(
        """g (float[N, 1, H, W] x) => (float[N, 1, 1, 1] loss) {
            y = Exp(x)
            loss = GlobalAveragePool(y)
        }"""
    )

    assert "'y'" in str(error)
    assert "only the batch may stay open" in error.hint


def test_old_opset_is_refused():
    """The hint converts the model."""
    error = refusal("g (float[N, 2] x) => (float[N, 2] loss) { loss = Exp(x) }", opset=12)

    assert "opset 12, gradients need at least 13" in str(error)
    assert "convert_version" in error.hint


TWO_LAYERS = """g (float[N, 3] x) => (float[N, 2] y) {
    fixed = Exp(bias)
    h = MatMul(x, w)
    y = Add(h, fixed)
}"""


def two_layers():
    generator = np.random.default_rng(0)
    w = generator.standard_normal((3, 2)).astype(np.float32)
    return parsed(TWO_LAYERS, w=w, bias=np.array([0.1, 0.2], np.float32))


def test_replay_is_the_same_function_of_another_tensor():
    """The second run on z equals the first run on z."""
    builder = builder_of(two_layers())
    x, z = np.random.default_rng(1).standard_normal((2, 4, 3)).astype(np.float32)

    again = append_replay(builder, ["y"], source="x", replacement="z")

    assert ["y"] == list(again)
    np.testing.assert_allclose(
        run(two_layers(), z)[0], run_builder(builder, again["y"], x=x, z=z), rtol=1e-6
    )


def test_replay_shares_weights_and_what_does_not_depend_on_the_source():
    """Only the nodes behind the source are copied, and no initializer."""
    builder = builder_of(two_layers())

    again = append_replay(builder, ["y", "fixed"], source="x", replacement="z", prefix="2/")

    assert {"y": "2/y", "fixed": "fixed"} == again
    assert ["Exp", "MatMul", "Add", "MatMul", "Add"] == [n.op_type for n in builder.nodes]
    assert 2 == len(builder.initializers)


def test_appended_names_are_new():
    """Gradient, step and second run can be appended to one builder more than once."""
    builder = builder_of(two_layers())
    source = helper.make_tensor_value_info("x", 1, ["N", 3])
    for prefix in ("a/", "b/"):
        gradient = append_gradient(builder, of="y", wrt="x", inputs=[source])
        moved = append_step(builder, "x", gradient, np.float32(0.1))
        append_replay(builder, ["y"], source="x", replacement=moved, prefix=prefix)

    outputs = [name for node in builder.nodes for name in node.output]
    assert len(outputs) == len(set(outputs))


def test_result_is_valid_onnx():
    """The checker accepts the model, shapes included."""
    model = with_gradient(two_layers(), of="y", wrt="x")

    onnx.checker.check_model(model, full_check=True)
