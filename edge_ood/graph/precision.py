"""The classifier in fewer bits: float16, or 8-bit integers whose ranges come from images.

A classifier is converted before anything is fitted, so statistics, thresholds and p-values are
those of the network that ships. Its input and outputs stay float32. So does its tail: whatever
follows the last convolution or matrix product but one, which is the pooling that makes the
features, and the layer that makes the logits.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.errors import ExportError
from edge_ood.graph.draft import Draft, drop_unused, finish, names_read, start
from edge_ood.graph.quiet import quiet
from edge_ood.onnx_session import load_onnxruntime
from edge_ood.threads import slices

__all__ = [
    "INT8_TARGETS",
    "Int8Target",
    "float32_tail",
    "quantised",
    "with_float16",
]

_PRODUCTS = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul"])
"""Operators with the weights that are worth converting."""

_QUANTISED = ["Add", "AveragePool", "Clip", "Conv", "Gemm", "MatMul", "MaxPool", "Relu"]
"""Operators that compute on integers, so that feature maps stay integers from layer to layer.

Concat is left out: its inputs would share one range, which quadruples the error of DenseNet-BC."""

_HALF = "/float16"
_LARGEST_HALF = float(np.finfo(np.float16).max)
_BATCH = 32
_SILENT, _WARNING = 4, 2


@dataclass(frozen=True)
class Int8Target:
    """How integers are laid out for one kind of processor.

    Attributes:
        activations: Element type of feature maps; weights are always int8, symmetric.
        reduced: Whether weights keep to 7 bits.
        reason: Why.
    """

    activations: str
    reduced: bool
    reason: str


INT8_TARGETS = {
    "vnni": Int8Target("QUInt8", False, "uint8 x int8, summed in 32 bits: x86 with VNNI"),
    "avx2": Int8Target(
        "QUInt8",
        True,
        "weights in 7 bits: older x86 sums two products in 16 bits, which 8 bits overflow",
    ),
    "arm": Int8Target("QInt8", False, "int8 x int8, which ARM multiplies without conversion"),
}
"""By the name that `--int8-target` takes; the first is the default."""


def quantised(
    classifier: onnx.ModelProto, images: NDArray[np.float32], target: Int8Target
) -> onnx.ModelProto:
    """A classifier whose backbone computes on 8-bit integers.

    Static quantisation in QDQ form: weights symmetric with a scale per output channel, feature
    maps with one range each, which is that of the images.

    Args:
        classifier: Simplified, in float32, with one input (N, 3, S, S).
        images: Network input (M, 3, S, S), one image or more; what goes beyond them is cut.
        target: Layout of the integers.

    Returns:
        A model with the same input and outputs in float32, and the same opset.

    Raises:
        ExportError: If the network is nothing but a tail, so there is nothing to quantise, or a
            feature map is not finite on these images.
        MissingDependencyError: If no onnxruntime is installed.

    Source: Jacob et al. 2018, arXiv:1712.05877, eq. 1, as `onnxruntime.quantization` does it.
    """
    runtime = load_onnxruntime()
    from onnxruntime.quantization import (  # noqa: PLC0415  # optional and slow
        QuantFormat,
        QuantType,
        quantize_static,
    )

    named = _with_node_names(classifier)
    kept = [node.name for node in float32_tail(named)]
    _check_backbone(named, kept)
    with quiet(), _without_advice(runtime), tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(named, source)
        quantize_static(
            source,
            result,
            _Batches(named.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            reduce_range=target.reduced,
            activation_type=QuantType[target.activations],
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={"MatMulConstBOnly": True},
        )
        converted = onnx.load(result)
    # Its own copy of the graph alone: the tool writes versions that old runtimes refuse.
    draft = start(converted)
    draft.opsets = list(classifier.opset_import)
    return finish(classifier, draft)


def with_float16(classifier: onnx.ModelProto) -> onnx.ModelProto:
    """A classifier whose backbone has weights and feature maps in float16.

    Weights beyond the range of float16 are cut to it. Converters that exist send every output
    through float16, even of nodes that they are told to leave alone.

    Args:
        classifier: Simplified, in float32.

    Returns:
        A model with the same input and outputs in float32, and the same opset.

    Raises:
        ExportError: If the network is nothing but a tail, so there is nothing to convert.
    """
    named = _with_node_names(classifier)
    kept = [node.name for node in float32_tail(named)]
    _check_backbone(named, kept)
    draft = start(named)
    _Halving(draft, kept).convert()
    drop_unused(draft)
    return finish(classifier, draft)


def float32_tail(classifier: onnx.ModelProto) -> list[NodeProto]:
    """Nodes that stay in float32: the last products, and what leads to no other products."""
    ahead = dict.fromkeys((output.name for output in classifier.graph.output), 0)
    tail = []
    for node in reversed(classifier.graph.node):
        after = max((ahead.get(name, 0) for name in node.output), default=0)
        is_product = node.op_type in _PRODUCTS
        for name in node.input:
            ahead[name] = max(ahead.get(name, 0), after + is_product)
        if after + is_product <= 1:
            tail.append(node)
    return tail[::-1]


class _Batches:
    """What the quantiser asks for batches of images; it wants none of its own base class."""

    def __init__(self, name: str, images: NDArray[np.float32]) -> None:
        self._parts = ({name: images[part]} for part in slices(len(images), _BATCH))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._parts, None)


class _Halving:
    """A graph whose nodes get float16 tensors, with a cast wherever the element type changes."""

    def __init__(self, draft: Draft, kept: Sequence[str]) -> None:
        self.draft = draft
        self.kept = frozenset(kept)
        facts = draft.facts()
        self.opset = facts.opset
        self.floats = {
            name
            for node in draft.nodes
            for name in (*node.input, *node.output)
            if facts.elem_type(name) == TensorProto.FLOAT
        }
        self.halved: set[str] = set()
        self.single: set[str] = {*draft.inputs, *draft.weights}
        self.nodes: list[NodeProto] = []

    def convert(self) -> None:
        for node in self.draft.nodes:
            made = [name for name in node.output if name in self.floats]
            halve = node.name not in self.kept and self._may_be_half(node, len(made))
            for name in names_read(node) - set(node.input):  # inside its sub-graphs
                self._as_single(name)
            read = self._as_half if halve else self._as_single
            node.input[:] = [read(n) if n in self.floats else n for n in node.input]
            if halve:
                self.halved.update(made)
                node.output[:] = [_half_name(n) if n in self.floats else n for n in node.output]
            else:
                self.single.update(made)
            self.nodes.append(node)
        for name in self.draft.outputs:
            self._as_single(name)
        self.draft.nodes = self.nodes

    def _may_be_half(self, node: NodeProto, outputs: int) -> bool:
        """Whether an operator makes its float outputs in the element type of its float inputs."""
        if not outputs or node.domain or not onnx.defs.has(node.op_type):
            return False
        schema = onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        allowed = {kind.type_param_str: kind.allowed_type_strs for kind in schema.type_constraints}
        read = {formal.type_str for formal in schema.inputs}
        made = [formal.type_str for formal in schema.outputs[:outputs]]
        return "tensor(float)" not in read and all(
            kind in read and "tensor(float16)" in allowed.get(kind, ()) for kind in made
        )

    def _as_half(self, name: str) -> str:
        """Name of the tensor in float16, made when it is first read."""
        weights = self.draft.array(name)
        if name not in self.halved and weights is not None:
            cut = np.clip(weights, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
            self.draft.weights[_half_name(name)] = numpy_helper.from_array(cut, _half_name(name))
        elif name not in self.halved:
            self._cast(name, _half_name(name), TensorProto.FLOAT16)
        self.halved.add(name)
        return _half_name(name)

    def _as_single(self, name: str) -> str:
        """Name of the tensor in float32, made when it is first read."""
        if name not in self.single and name in self.floats:
            self._cast(_half_name(name), name, TensorProto.FLOAT)
            self.single.add(name)
        return name

    def _cast(self, source: str, result: str, to: int) -> None:
        name = f"{result}/cast"
        self.nodes.append(helper.make_node("Cast", [source], [result], name=name, to=to))


def _half_name(name: str) -> str:
    """What `with_float16` calls the float16 version of a tensor."""
    return name + _HALF


def _with_node_names(classifier: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each node is called after what it makes, as both converters need names."""
    named = onnx.ModelProto()
    named.CopyFrom(classifier)
    for node in named.graph.node:
        node.name = next(filter(None, node.output))
    return named


def _check_backbone(classifier: onnx.ModelProto, kept: Sequence[str]) -> None:
    names = set(kept)
    if not any(n.op_type in _PRODUCTS and n.name not in names for n in classifier.graph.node):
        raise ExportError(
            "the classifier has no convolution or matrix product before its last layer, so there "
            "is nothing to convert",
            hint="export it with --precision fp32",
        )


@contextlib.contextmanager
def _without_advice(runtime: Any) -> Iterator[None]:
    """Quieten onnxruntime itself, which writes past Python."""
    runtime.set_default_logger_severity(_SILENT)
    try:
        yield
    finally:
        runtime.set_default_logger_severity(_WARNING)
