"""Nodes in running order, inside of sub-graphs and functions too."""

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.order import sort_nodes

FLOAT = TensorProto.FLOAT


def value(name: str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [1])


def model_of(nodes: list[onnx.NodeProto], *functions: onnx.FunctionProto) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=8)


def names(nodes: object) -> list[str]:
    return [node.op_type for node in nodes]  # type: ignore[attr-defined]  # a repeated field


def test_order_that_will_do_stays() -> None:
    """Two independent nodes are not exchanged."""
    nodes = [helper.make_node(op, ["x"], [op]) for op in ("Tanh", "Abs", "Neg", "Exp")]
    model = model_of([*nodes, helper.make_node("Sum", ["Neg", "Tanh", "Exp", "Abs"], ["y"])])

    assert not sort_nodes(model)

    assert ["Tanh", "Abs", "Neg", "Exp", "Sum"] == names(model.graph.node)


def test_branches_and_functions_are_sorted() -> None:
    """What a branch takes from outside counts as read by its node."""
    branch = helper.make_graph(
        [
            helper.make_node("Neg", ["inner"], ["result"]),
            helper.make_node("Abs", ["late"], ["inner"]),
        ],
        "branch",
        [],
        [value("result")],
    )
    twice = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["c"],
        [helper.make_node("Add", ["b", "b"], ["c"]), helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    model = model_of(
        [
            helper.make_node("If", ["yes"], ["made"], then_branch=branch, else_branch=branch),
            helper.make_node("Twice", ["made"], ["y"], domain="own"),
            helper.make_node("Exp", ["x"], ["late"]),
            helper.make_node("Cast", ["x"], ["yes"], to=TensorProto.BOOL),
        ],
        twice,
    )

    assert not sort_nodes(model)

    onnx.checker.check_model(model)
    x = np.array([1.0], np.float32)
    (found,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(found, 2 * np.exp(x), rtol=1e-6)
