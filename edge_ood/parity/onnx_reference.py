"""The torch-free side of parity: a classifier in float64 and float32, in onnx's own evaluator.

`onnx.reference.ReferenceEvaluator` is NumPy, operator by operator: neither onnxruntime's kernels
nor our simplification take part in it. Attributes, such as the epsilon of a normalisation, are
float32 in any ONNX file, and so are the constants inside operators that onnx composes of others.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_model,
    network_input_info,
    opset_of,
    record_network,
    tail_of,
)
from edge_ood.graph.perturb import perturbed_outputs
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import PARITY_IMAGES, Reference
from edge_ood.parity.operators import OPERATORS
from edge_ood.scores import BoundHead, Outputs

__all__ = ["OnnxEvaluator", "onnx_reference"]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_SECONDS = 30.0
"""What comparing real images may take, as far as two of them allow."""

_FEWEST_IMAGES = 2


class OnnxEvaluator:
    """A classifier in one precision, NumPy arrays in and out, one image at a time.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
        dtype: `numpy.float64` or `numpy.float32`.
    """

    def __init__(self, classifier: onnx.ModelProto, dtype: type[np.floating[Any]]) -> None:
        self._classifier = classifier
        self._dtype = dtype
        self._names = [output.name for output in classifier.graph.output]
        self._network = self._evaluator(classifier)
        self._second_passes: dict[str, ReferenceEvaluator] = {}

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """Outputs of network input (N, 3, S, S)."""
        return self._run(self._network, images)

    def perturbed(self, head: BoundHead, images: NDArray[Any], preprocess: Preprocess) -> Outputs:
        """Outputs with those that the head perturbs replaced, by the gradient as ONNX nodes.

        Args:
            head: Declares losses and `epsilon`.
            images: Network input (N, 3, S, S), normalised by `preprocess`.
            preprocess: Turns pixel units into those of the input.
        """
        if head.name not in self._second_passes:
            model = self._with_second_pass(head, preprocess)
            self._second_passes[head.name] = self._evaluator(model)
        return self._run(self._second_passes[head.name], images)

    def _evaluator(self, model: onnx.ModelProto) -> ReferenceEvaluator:
        wide = _in_float64(model) if self._dtype is np.float64 else model
        return ReferenceEvaluator(wide, new_ops=OPERATORS)

    def _run(self, evaluator: ReferenceEvaluator, images: NDArray[Any]) -> Outputs:
        (entry,) = evaluator.input_names
        rows = [
            evaluator.run(None, {entry: image[None].astype(self._dtype)})
            for image in images  # together they would need the memory of all feature maps
        ]
        arrays = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return Outputs.from_named(dict(zip(self._names, arrays, strict=True)))

    def _with_second_pass(self, head: BoundHead, preprocess: Preprocess) -> onnx.ModelProto:
        builder = GraphBuilder()
        outputs = record_network(builder, self._classifier)
        moved = perturbed_outputs(
            builder,
            head,
            outputs,
            network_input=PREPROCESSED,
            preprocess=preprocess,
            opset=opset_of(self._classifier),
        )
        named = moved.named()
        results = [
            GraphOutput(
                builder.add("Identity", [named[name].name]),
                TensorProto.FLOAT,
                ("N", *tail_of(self._classifier, name)),
            )
            for name in self._names
        ]
        entry = network_input_info(PREPROCESSED, preprocess)
        return build_model(builder, results, self._classifier, entry=entry)


def onnx_reference(
    classifier: onnx.ModelProto, preprocess: Preprocess, *, perturbing: int = 0
) -> Reference:
    """The reference that the parity gate holds a foreign classifier against.

    Args:
        classifier: As it came, between the nodes that adopt it.
        preprocess: Of its images.
        perturbing: Number of heads that perturb, each of which costs about four passes more.

    Returns:
        A reference for as many images as it can evaluate in half a minute, 2 to 64.
    """
    evaluators = OnnxEvaluator(classifier, np.float64), OnnxEvaluator(classifier, np.float32)
    noise = np.random.default_rng(0).normal(size=(1, 3, *2 * (preprocess.size_px,)))
    started = time.perf_counter()
    for evaluator in evaluators:
        evaluator(noise)
    seconds = (time.perf_counter() - started) * (1 + 4 * perturbing)
    images = int(min(max(_SECONDS / seconds, _FEWEST_IMAGES), PARITY_IMAGES))
    return Reference(*evaluators, images=images, by_differences=True, source="onnx.reference")


def _in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with every float a float64."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    _widen(wide.graph)
    return wide


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
