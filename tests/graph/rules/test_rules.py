"""Every gradient rule alone, against PyTorch's autograd, and the tests against broken rules.

`cases/<rule>.py` holds CASES: name -> dict with

    op          operator
    inputs      arrays by position, None for one left out; `wrt` (0) is the one to differentiate by
    oracle      torch function of the arrays, in float64; central differences without it
    attributes  of the node ({})
    names       of the node's inputs (x0, x1, ...), with nodes `before` that make them ([])
    outputs     names of the node's outputs (["y"]), with nodes `then` that lead to y ([])
    images      positions of other inputs that have the batch as their first size ([])
    fixed       that size is declared, not left open (False)
    opset       (18)

A rule counts as tested if damage to any node or constant that it writes is noticed in one of its
cases. EQUIVALENT: kind of damage -> why it cannot be seen.
"""

import copy
import functools
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import append_gradient
from edge_ood.graph.rules import RULES

# Sums of a few hundred float32 products; relative to the largest element.
TOLERANCE = 2e-5
STEP = 1e-6
FOLDER = Path(__file__).parent / "cases"
NAMES = RULES.names()


@functools.cache
def load(name):
    """The module of cases for one rule."""
    spec = importlib.util.spec_from_file_location(f"cases_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_cases():
    return [
        pytest.param(case, id=f"{name}-{label}")
        for name in NAMES
        if (FOLDER / f"{name}.py").exists()
        for label, case in load(name).CASES.items()
    ]


def test_every_rule_has_cases():
    """A rule file without a file of cases is found."""
    present = {path.stem for path in FOLDER.glob("*.py")}

    assert set(NAMES) == present


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_has_a_case(name):
    """The cases of a rule use each operator that the rule serves."""
    used = {case["op"] for case in load(name).CASES.values()}

    assert set(RULES.get(name).op_types) == used


@pytest.mark.parametrize("case", all_cases())
def test_gradient_is_that_of_autograd(case):
    """The rule's gradient equals autograd's in float64, and the node is the oracle's function."""
    value, gradient = expected(case)
    model, _ = differentiated(case)

    got_value, got_gradient = run(model, case)

    assert distance(value, got_value) <= TOLERANCE
    assert distance(gradient, got_gradient) <= TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_damage_to_a_rule_is_noticed(name):
    """Each kind of damage to what the rule writes changes the gradient in one of its cases."""
    module = load(name)
    unnoticed = {}
    noticed = set(getattr(module, "EQUIVALENT", {}))

    for label, case in module.CASES.items():
        _, gradient = expected(case)
        model, first = differentiated(case)
        for kind, damaged in damages(model, first):
            if kind not in noticed:
                if is_unlike(damaged, case, gradient):
                    noticed.add(kind)
                else:
                    unnoticed[kind] = label

    assert {} == {kind: label for kind, label in unnoticed.items() if kind not in noticed}


def inputs_of(case):
    return {f"x{i}": a for i, a in enumerate(case["inputs"]) if a is not None}


def wrt_of(case):
    return f"x{case.get('wrt', 0)}"


def images_of(case):
    return {wrt_of(case), *(f"x{i}" for i in case.get("images", ()))}


def forward_nodes(case):
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(case["inputs"])]
    names = case.get("names", names)
    node = helper.make_node(
        case["op"], names, case.get("outputs", ["y"]), name="node", **case.get("attributes", {})
    )
    return [*case.get("before", []), node, *case.get("then", [])]


def cotangent_like(value):
    return np.random.default_rng(7).standard_normal(value.shape)


def expected(case):
    """Output and gradient in float64."""
    if "expected" not in case:
        compute = by_autograd if "oracle" in case else by_central_differences
        case["expected"] = compute(case, inputs_of(case), wrt_of(case))
    return case["expected"]


def by_autograd(case, arrays, wrt):
    tensors = {name: torch.from_numpy(as_double(a)) for name, a in arrays.items()}
    tensors[wrt].requires_grad_(True)
    value = case["oracle"](*tensors.values())
    value.backward(torch.from_numpy(np.asarray(cotangent_like(value))))
    return value.detach().numpy(), tensors[wrt].grad.numpy()


def by_central_differences(case, arrays, wrt):
    opset = [helper.make_opsetid("", case.get("opset", 18))]
    nodes = forward_nodes(case)
    function = helper.make_function("case", "case", list(arrays), ["y"], nodes, opset)
    evaluator = ReferenceEvaluator(function)
    doubles = {name: as_double(a) for name, a in arrays.items()}

    def loss(x):
        value = evaluator.run(None, {**doubles, wrt: x}, attributes={})[0]
        return float((value * cotangent_like(value)).sum())

    x = doubles[wrt]
    gradient = np.zeros_like(x)
    for position in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[position] = STEP
        gradient[position] = (loss(x + step) - loss(x - step)) / (2 * STEP)
    return evaluator.run(None, doubles, attributes={})[0], gradient


def as_double(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def differentiated(case):
    """A model with outputs y and gradient, and the number of nodes before the gradient's."""
    builder = GraphBuilder("gradient")
    builder.nodes.extend(forward_nodes(case))
    first = len(builder.nodes)
    sources = []
    for name, array in inputs_of(case).items():
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        if name in images_of(case):
            shape = array.shape if case.get("fixed") else ["N", *array.shape[1:]]
            sources.append(helper.make_tensor_value_info(name, 1, shape))
        else:
            builder.initializer(name, array)
    opset = case.get("opset", 18)
    gradient = append_gradient(
        builder, of="y", wrt=wrt_of(case), inputs=sources, opset=opset, cotangent="cotangent"
    )
    builder.add("Identity", [gradient], name="gradient")
    sources.append(helper.make_tensor_value_info("cotangent", 1, None))
    outputs = [helper.make_tensor_value_info(name, 1, None) for name in ("y", "gradient")]
    graph = helper.make_graph(builder.nodes, "case", sources, outputs, builder.initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), first


def run(model, case):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    value, _ = expected(case)
    feeds = {name: inputs_of(case)[name] for name in images_of(case)}
    feeds["cotangent"] = cotangent_like(value)
    return session.run(None, {name: np.asarray(a, np.float32) for name, a in feeds.items()})


def distance(exact, got):
    """Largest difference over largest element; infinite between different shapes."""
    if exact.shape != got.shape:
        return np.inf
    return np.abs(got - exact).max(initial=0) / max(np.abs(exact).max(initial=0), 1e-12)


def is_unlike(model, case, gradient):
    try:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        got = run(model, case)[1]
    # Damage that cannot be run is noticed as well; onnxruntime's errors share no narrower base.
    except Exception:
        return True
    return not distance(gradient, got) <= TOLERANCE


def damages(model, first):
    """(kind, damaged copy) for everything that a rule could plausibly get wrong."""
    for position in range(first, len(model.graph.node) - 1):
        for kind, change in node_damages(model.graph.node[position]):
            damaged = copy.deepcopy(model)
            change(damaged.graph.node[position])
            yield kind, damaged
    for position, tensor in enumerate(model.graph.initializer):
        if tensor.name.startswith("gradient/"):
            array = numpy_helper.to_array(tensor).copy()
            array.flat[-1:] = array.flat[-1:] * 1.5 + 1
            damaged = copy.deepcopy(model)
            damaged.graph.initializer[position].CopyFrom(
                numpy_helper.from_array(array, tensor.name)
            )
            users = [n.op_type for n in model.graph.node[first:] if tensor.name in n.input]
            yield f"constant of {users[0]}", damaged


def node_damages(node):
    yield f"{node.op_type} dropped", drop
    if len(node.input) == 2 and node.op_type in ("Sub", "Div", "MatMul", "Gemm"):
        yield f"{node.op_type} swapped", swap
    for position, part in enumerate(node.attribute):
        value = helper.get_attribute_value(part)
        if isinstance(value, (int, float)):
            yield f"{node.op_type}.{part.name}", functools.partial(change, position, None)
        elif isinstance(value, list) and value and isinstance(value[0], int):
            for entry in (0, len(value) - 1):
                kind = f"{node.op_type}.{part.name}[{'first' if entry == 0 else 'last'}]"
                yield kind, functools.partial(change, position, entry)


def drop(node):
    """Pass the first input through."""
    copied = NodeProto(op_type="Identity", name=node.name)
    copied.input.append(node.input[0])
    copied.output.append(node.output[0])
    node.CopyFrom(copied)


def swap(node):
    first, second = node.input
    node.input[:] = [second, first]


def change(position, entry, node):
    part = node.attribute[position]
    value = helper.get_attribute_value(part)
    if entry is not None:
        # The neighbour takes the opposite change, so that shapes stay and only content differs.
        value[entry] += 1
        value[(entry + len(value) // 2) % len(value)] -= part.name == "pads"
    elif part.name == "group":
        value = 1 if value > 1 else 2
    elif isinstance(value, int):
        value = 1 - value if value in (0, 1) else value + 1
    else:
        value = -1.5 * value + 0.25
    part.CopyFrom(helper.make_attribute(part.name, value))
