"""The torch-free side of parity: a classifier in float64, in onnx's own evaluator.

`onnx.reference.ReferenceEvaluator` is NumPy, operator by operator: neither onnxruntime's kernels
nor our simplification take part in it. Attributes, such as the epsilon of a normalisation, are
float32 in any ONNX file, and so are the constants inside operators that onnx composes of others.

Some classifiers have no exact values: what is rounded to a few levels jumps where float32 and
float64 round to different ones, and of some operators onnx has no evaluator. They are held against
what onnxruntime makes of them, node by node.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.extremes import extremes
from edge_ood.parity.limits import PARITY_IMAGES, Evaluator, Pass, Reference
from edge_ood.parity.operators import OPERATORS
from edge_ood.parity.runtime_evaluator import RuntimeEvaluator, other_runs
from edge_ood.parity.second_pass import output_names, with_second_pass
from edge_ood.scores import BoundHead, Outputs
from edge_ood.threads import slices

__all__ = ["OnnxEvaluator", "onnx_reference"]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinear")
"""Operators, or what their names begin with, behind which values stand on a few levels."""

_SECONDS = 20.0
"""Of the processor, for comparing images, as far as four real ones and the extremes allow."""

_FEWEST_IMAGES = 4
_PASSES_TO_PERTURB = 4
_BATCH_PIXELS = 1 << 17
"""Pixels in a batch: in float64 feature maps are large, and columns of windows larger."""

_LONGEST_REASON = 200
_EVALUATOR_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What onnx raises about operators and forms that its evaluator lacks; it has no error of its
own."""


class OnnxEvaluator:
    """A classifier in float64, NumPy arrays in and out.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
    """

    def __init__(self, classifier: onnx.ModelProto) -> None:
        self._classifier = classifier
        self._network = _Frugal(classifier)

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""
        return self._run(self._network, images)

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        """Outputs with those that the head perturbs replaced, by the gradient as ONNX nodes.

        Args:
            head: Declares losses and `epsilon`.
            preprocess: Of the input; turns pixel units into its own.
        """
        again = _Frugal(with_second_pass(self._classifier, head, preprocess))
        return lambda images: self._run(again, images)

    def _run(self, network: "_Frugal", images: NDArray[Any]) -> Outputs:
        size = max(1, _BATCH_PIXELS // images.shape[-1] ** 2)
        with np.errstate(all="ignore"):  # what is not finite, the gate sees
            rows = [network(images[part].astype(np.float64)) for part in slices(len(images), size)]
        arrays = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return Outputs.from_named(dict(zip(output_names(self._classifier), arrays, strict=True)))


class _Frugal:
    """onnx's evaluator, which keeps every tensor to the end, but with each dropped after its use.

    Weights stay as they are in the model, and are widened where they are read.

    Args:
        model: In any float; it is evaluated in float64.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        evaluator = ReferenceEvaluator(_nodes_in_float64(model), new_ops=list(OPERATORS))
        self._nodes = evaluator.rt_nodes_
        weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self._weights = {**evaluator.rt_inits_, **weights}
        (self._entry,) = evaluator.input_names
        self._outputs = evaluator.output_names
        self._uses = Counter(name for node in model.graph.node for name in set(_reads(node)))
        self._uses.update(self._outputs)

    def __call__(self, images: NDArray[np.float64]) -> list[NDArray[Any]]:
        known: dict[str, Any] = {"": None, self._entry: images}
        left = self._uses.copy()
        for node in self._nodes:
            read = [name for name in _reads(node.onnx_node) if name in self._weights]
            known.update((name, _widened(self._weights[name])) for name in read)
            context = {"context": known} if node.need_context() else {}
            results = node.run(*(known[name] for name in node.input), **context)
            known.update(zip(node.output, results, strict=False))
            left.subtract(set(_reads(node.onnx_node)))
            for name in set(read):
                del known[name]
            for name in (*_reads(node.onnx_node), *node.output):
                if left[name] <= 0 and name:
                    known.pop(name, None)
        return [
            known[name] if name in known else _widened(self._weights[name])
            for name in self._outputs
        ]


def onnx_reference(
    classifier: onnx.ModelProto,
    preprocess: Preprocess,
    *,
    perturbing: int = 0,
    on_note: Callable[[str], None] = lambda note: None,
) -> Reference:
    """The reference that the parity gate holds a foreign classifier against.

    Args:
        classifier: As it came, between the nodes that adopt it.
        preprocess: Of its images.
        perturbing: Number of heads that perturb, each of which costs about four passes more.
        on_note: Called with why the classifier has no exact values, where that is so.

    Returns:
        A reference for as many images as it can evaluate in 20 processor seconds, 4 to 64.
    """
    program = RuntimeEvaluator(classifier)
    reason, exact = _exact(classifier, preprocess)
    if exact is None:
        on_note(f"{reason}, so the file is compared with the classifier as onnxruntime runs it")
        others = other_runs(classifier, program)
        return Reference(program, others, source="onnxruntime", exact=False, reason=reason)
    started = time.process_time()
    exact(_noise(preprocess))
    seconds = (time.process_time() - started) * (1 + _PASSES_TO_PERTURB * perturbing)
    affordable = int(_SECONDS / max(seconds, 1e-9)) - len(extremes(1))
    images = min(max(affordable, _FEWEST_IMAGES), PARITY_IMAGES)
    return Reference(exact, (program,), images=images, by_differences=True, source="onnx.reference")


def _exact(classifier: onnx.ModelProto, preprocess: Preprocess) -> tuple[str, Evaluator | None]:
    """The classifier in float64; or why there is none, and None."""
    rounding = next((n for n in classifier.graph.node if n.op_type.startswith(_ROUNDING)), None)
    if rounding is not None:
        return f"the classifier rounds to integers inside ({rounding.op_type})", None
    try:
        exact = OnnxEvaluator(classifier)
        found = exact(_noise(preprocess)).named()
    except _EVALUATOR_ERRORS as error:
        said = str(error).strip().partition("\n")[0]
        return f"onnx's reference evaluator cannot run it ({said[:_LONGEST_REASON]})", None
    expected = RuntimeEvaluator(classifier)(_noise(preprocess)).named()
    for name, array in found.items():
        if array.shape != expected[name].shape:
            return f"onnx's reference evaluator gives {name!r} the shape {array.shape}", None
    return "", exact


def _noise(preprocess: Preprocess) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(1, 3, *2 * (preprocess.size_px,)))


def _reads(node: NodeProto) -> list[str]:
    """Every tensor that a node reads, those of the graphs inside it included."""
    inner = [name for graph in _inner_graphs(node) for each in graph.node for name in _reads(each)]
    return [*filter(None, node.input), *inner]


def _nodes_in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with every float a float64, and without its weights."""
    graph = model.graph
    nodes = helper.make_graph(graph.node, graph.name, graph.input, graph.output)
    nodes.sparse_initializer.extend(graph.sparse_initializer)
    wide = helper.make_model(
        nodes,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=model.ir_version,
    )
    _widen(wide.graph)
    return wide


def _widened(weights: NDArray[Any]) -> NDArray[Any]:
    """Floats as float64, anything else as it is."""
    kind = helper.np_dtype_to_tensor_dtype(weights.dtype)
    return weights.astype(np.float64) if kind in _FLOATS else weights


def _widen(graph: GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _FLOATS:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    del graph.value_info[:]
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        _widen_node(node)
        for inner in _inner_graphs(node):
            _widen(inner)


def _widen_node(node: NodeProto) -> None:
    for part in node.attribute:
        if part.type == AttributeProto.TENSOR:
            _widen_tensor(part.t)
        elif part.name in ("to", "dtype") and part.i in _FLOATS:
            part.i = TensorProto.DOUBLE
        elif node.op_type == "Constant" and part.name in ("value_float", "value_floats"):
            value = np.asarray(helper.get_attribute_value(part), np.float64)
            part.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _FLOATS:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    for part in node.attribute:
        yield from [part.g] if part.HasField("g") else part.graphs
