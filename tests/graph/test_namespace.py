"""The graph recorder computes what NumPy computes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_ood.errors import InputError, ShapeError
from edge_ood.graph.array import OPSET, GraphArray, GraphBuilder
from edge_ood.graph.namespace import GraphNamespace

TOLERANCE = 1e-6  # a few float32 roundings of numbers near 1
ROWS = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
VECTOR = np.random.default_rng(1).normal(size=5)
MATRIX = np.random.default_rng(2).normal(size=(5, 2))

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda xp, x: x + 2 + x,
    "radd constant array": lambda xp, x: VECTOR + x,
    "sub": lambda xp, x: x - VECTOR,
    "rsub": lambda xp, x: VECTOR - x,
    "mul": lambda xp, x: 3 * x * x,
    "div": lambda xp, x: x / 7,
    "rdiv": lambda xp, x: 1 / (x * x + 1),
    "neg": lambda xp, x: -x,
    "exp": lambda xp, x: xp.exp(x),
    "log": lambda xp, x: xp.log(x * x + 1),
    "expm1": lambda xp, x: xp.expm1(x),
    "expm1 near zero": lambda xp, x: 1e5 * xp.expm1(1e-5 * x),
    "log1p": lambda xp, x: xp.log1p(x * x),
    "log1p near zero": lambda xp, x: 1e5 * xp.log1p(1e-5 * x),
    "abs": lambda xp, x: xp.abs(x),
    "sqrt": lambda xp, x: xp.sqrt(x * x),
    "max keepdims": lambda xp, x: xp.max(x, axis=2, keepdims=True),
    "min": lambda xp, x: xp.min(x, axis=1),
    "sum": lambda xp, x: xp.sum(x, axis=1),
    "mean": lambda xp, x: xp.mean(x, axis=2),
    "matmul": lambda xp, x: xp.matmul(x, MATRIX),
    "matmul from the left": lambda xp, x: xp.matmul(MATRIX.T, x[:, 0][:, 1] * np.ones((5, 1))),
    "rows by rows": lambda xp, x: xp.tensordot(x[:, 1], MATRIX.T, axes=((1,), (1,))),
    "index": lambda xp, x: x[:, 1],
    "index last": lambda xp, x: x[:, :, 0],
    "a new axis": lambda xp, x: x[:, 0] * xp.expand_dims(xp.sum(x[:, 1], axis=1), axis=1),
    "power": lambda xp, x: (x * x) ** 0.1,
    "minimum of two": lambda xp, x: xp.minimum(x, VECTOR),
    "minimum with a number": lambda xp, x: xp.minimum(x, 0.1),
    "maximum": lambda xp, x: xp.maximum(0.1, x),
    "sign": lambda xp, x: xp.sign(x),
    "smallest of a row": lambda xp, x: xp.sort(x[:, 1], axis=1)[:, :3],
    "largest of a row": lambda xp, x: -xp.sort(-x[:, 1], axis=1)[:, :2],
    "as many as there are": lambda xp, x: xp.sort(x[:, 1], axis=1)[:, :99],
    "third smallest of a row": lambda xp, x: xp.sort(x[:, 1], axis=1)[:, 2],
    "where the second smallest is": lambda xp, x: xp.take(
        VECTOR, xp.argsort(x[:, 1], axis=1)[:, 1], axis=0
    ),
    "less and where": lambda xp, x: xp.where(x < 0.5, x, 0 * x),
    "argmin and take": lambda xp, x: xp.take(MATRIX, xp.argmin(x[:, 0], axis=1), axis=0),
    "argmax and take": lambda xp, x: xp.take(MATRIX, xp.argmax(x[:, 2], axis=1), axis=0),
}


def run_recorded(expression: Callable[[Any, Any], Any], x: NDArray[np.float32]) -> NDArray[Any]:
    builder = GraphBuilder()
    result = expression(GraphNamespace(), GraphArray(builder, "x"))
    builder.add("Identity", [result.name], name="y")
    graph = helper.make_graph(
        builder.nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * x.ndim)],
        [onnx.ValueInfoProto(name="y")],
        builder.initializers,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": x})
    return np.asarray(y)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_recorded_expression_equals_numpy(name: str) -> None:
    """Every operation recorded as ONNX gives NumPy's numbers."""
    expected = EXPRESSIONS[name](GraphNamespace(), ROWS.astype(np.float64))

    found = run_recorded(EXPRESSIONS[name], ROWS)

    assert expected.shape == found.shape
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_function_of_the_namespace_is_tested() -> None:
    """A function added to the namespace needs an expression above."""
    offered = {name for name in vars(GraphNamespace) if not name.startswith("_")}
    used = {name for e in EXPRESSIONS.values() for name in e.__code__.co_names}

    assert offered <= used


def test_other_contractions_are_refused() -> None:
    """One product is all that heads need."""
    with pytest.raises(InputError, match="cannot contract axes 1, only rows by rows"):
        run_recorded(lambda xp, x: xp.tensordot(x, MATRIX, axes=1), ROWS)


def test_equal_constants_are_stored_once() -> None:
    """Recording the same number twice adds one initializer."""
    builder = GraphBuilder()

    first, second = builder.constant(2.0, np.float32), builder.constant(2.0, np.float32)

    assert first == second
    assert 1 == len(builder.initializers)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(1024) / 8, TensorProto.FLOAT16),
        (np.arange(1024) / 3, TensorProto.FLOAT),
        (np.full(1024, 1e6), TensorProto.FLOAT),
        (np.arange(1023) / 8, TensorProto.FLOAT),
    ],
)
def test_what_float16_holds_is_stored_as_such(values: NDArray[Any], expected: int) -> None:
    """Long constants without an error, out of range or not; short ones are not worth a node."""
    builder = GraphBuilder()

    GraphArray(builder, "x") + values

    assert [expected] == [tensor.data_type for tensor in builder.initializers]
    assert ("Cast" in {node.op_type for node in builder.nodes}) == (expected != TensorProto.FLOAT)


def test_a_constant_in_float16_is_the_same_number() -> None:
    """It is a float32 tensor again before anything reads it."""
    table = np.arange(2560).reshape(512, 5) / 16

    found = run_recorded(lambda xp, x: xp.matmul(x[:, 0], table.T), ROWS)

    np.testing.assert_allclose(found, ROWS[:, 0] @ table.T, rtol=1e-6, atol=1e-4)


def test_a_scalar_constant_keeps_rank_zero() -> None:
    """A scalar index must not become a vector, or Gather would keep an axis."""
    builder = GraphBuilder()

    builder.constant(3, np.int64)

    assert [] == list(builder.initializers[0].dims)


def test_slices_with_bounds_are_refused() -> None:
    """An index that the recorder cannot express is an error, not another index."""
    with pytest.raises(InputError, match="cannot index by"):
        GraphArray(GraphBuilder(), "x")[:, 1:2]


def test_where_of_two_numbers_is_refused() -> None:
    """Without a recorded operand the result would have no dtype."""
    x = GraphArray(GraphBuilder(), "x")

    with pytest.raises(ShapeError, match="two constants"):
        GraphNamespace().where(x < 0, 1.0, 2.0)


@pytest.mark.parametrize("neutral", [lambda x: x + 0, lambda x: x * 1, lambda x: x / 1.0])
def test_a_neutral_number_costs_no_node(neutral: Callable[[GraphArray], GraphArray]) -> None:
    """A parameter at its neutral value, such as temperature 1, leaves nothing to compute."""
    x = GraphArray(GraphBuilder(), "x")

    assert neutral(x) is x
    assert [] == x.builder.nodes


def test_a_number_on_the_left_is_not_neutral() -> None:
    """1 / x and 0 - x are not x."""
    x = GraphArray(GraphBuilder(), "x")

    assert ["Div", "Sub"] == [(1 / x).builder.nodes[-1].op_type, (0 - x).builder.nodes[-1].op_type]


def test_a_recorded_result_takes_its_name_without_a_copy() -> None:
    """The node that was recorded last is renamed; an input or an older result is copied."""
    builder = GraphBuilder()
    x = GraphArray(builder, "x")
    older, last = x + 1, x + 2

    builder.call(last.name, "last")
    builder.call(older.name, "older")
    builder.call("x", "copy")

    assert ["Add", "Add", "Identity", "Identity"] == [node.op_type for node in builder.nodes]
    assert ["last", "older", "copy"] == [node.output[0] for node in builder.nodes[1:]]
