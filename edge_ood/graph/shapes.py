"""Shapes and constant values of a graph whose batch size is left open.

The graph is walked twice, with two different batch sizes put in. What comes out the same both
times does not depend on the batch; what differs does. This needs no symbolic algebra, and it sees
through the chains of Shape, Gather, Div and Concat that exporters write around every reshape.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from edge_ood.images.decoding.memory import available_memory

__all__ = ["PROBED_BATCHES", "Facts", "analyse", "attribute"]

PROBED_BATCHES = (5, 7)
"""Two sizes that stand in for the open batch; without a common divisor."""

_MOST_ELEMENTS_EVALUATED = 1 << 24
_SHARE_FOR_VALUES = 4
"""One part in so many of the memory is for values, which are all kept; the rest stay unknown."""
_MOST_ELEMENTS_SHOWN_TO_INFERENCE = 4096
_NEVER_FOLDED = (
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform"),
    *("Loop", "Scan", "SequenceMap"),  # how long they run, nobody knows
    *("DequantizeLinear", "QuantizeLinear"),  # folded, integer weights would be float32 again
)
"""Operators whose values count as unknown, and beginnings of their names."""

_NOT_INFERRED = (
    onnx.defs.SchemaError,
    onnx.checker.ValidationError,
    shape_inference.InferenceError,
    RuntimeError,
)
"""What inference raises for an operator that onnx does not know, or for impossible inputs."""

Array = NDArray[np.generic]
Shape = tuple[int | None, ...]
Extents = tuple[tuple[int | None, int | None], ...]


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Value of a node's attribute as a Python or TensorProto object, or the default."""
    for candidate in node.attribute:
        if candidate.name == name:
            return helper.get_attribute_value(candidate)
    return default


@dataclass
class Facts:
    """What is known about every tensor of a graph before it runs.

    Attributes:
        opset: Version of the default domain.
    """

    opset: int
    _types: dict[str, tuple[TypeProto, TypeProto]] = field(default_factory=dict)
    _values: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    _weights: dict[str, TensorProto] = field(default_factory=dict)
    _evaluated_bytes: int = 0

    def elem_type(self, name: str) -> int:
        """`TensorProto.DataType` of a tensor; 0 where nothing is known about it."""
        if name in self._weights:
            return int(self._weights[name].data_type)
        return int(self._types[name][0].tensor_type.elem_type) if name in self._types else 0

    def shape(self, name: str) -> Shape | None:
        """Sizes by axis, None for a size that is unknown or follows the batch; None: no rank."""
        probed = self.extents(name)
        if probed is None:
            return None
        return tuple(a if a == b else None for a, b in probed)

    def extents(self, name: str) -> Extents | None:
        """Sizes by axis at both probed batches.

        Two axes with the same pair of known sizes are equally long at any batch size.
        """
        if name in self._weights:
            return tuple((size, size) for size in self._weights[name].dims)
        if name not in self._types:
            return None
        sides = [_sizes(side) for side in self._types[name]]
        if sides[0] is None or sides[1] is None or len(sides[0]) != len(sides[1]):
            return None
        return tuple(zip(sides[0], sides[1], strict=True))

    def value(self, name: str) -> Array | None:
        """The array, where it is the same for every input and batch size."""
        if name in self._weights and name not in self._values:
            array = numpy_helper.to_array(self._weights[name])
            self._values[name] = (array, array)
        first, second = self._values.get(name, (None, None))
        if first is None or second is None:
            return None
        return first if first is second or _same(first, second) else None

    def extend(
        self,
        nodes: Iterable[NodeProto],
        weights: Iterable[TensorProto],
        opsets: Sequence[onnx.OperatorSetIdProto],
    ) -> None:
        """Find out about more nodes, which come behind those known."""
        self._weights.update({tensor.name: tensor for tensor in weights})
        for node in nodes:
            self._learn(node, opsets)

    def _learn(self, node: NodeProto, opsets: Sequence[onnx.OperatorSetIdProto]) -> None:
        names = [name for name in node.input if name]
        constant = all(self._is_constant(name) for name in names)
        alike = constant or all(self._is_alike(name) for name in names)
        for side in (0, 1):
            if side == 1 and alike:
                self._copy_first_side(node)
                continue
            types = self._infer(node, side, opsets)
            values = self._evaluate(node, side, types, opsets)
            for name in node.output:
                self._store(name, side, types.get(name), values.get(name))

    def _is_constant(self, name: str) -> bool:
        pair = self._values.get(name)
        return name in self._weights or (pair is not None and pair[0] is pair[1])

    def _is_alike(self, name: str) -> bool:
        pair = self._types.get(name)
        return self._is_constant(name) or (
            name not in self._values and pair is not None and pair[0] is pair[1]
        )

    def _copy_first_side(self, node: NodeProto) -> None:
        for name in node.output:
            if name in self._types:
                self._types[name] = (self._types[name][0],) * 2
            if name in self._values:
                self._values[name] = (self._values[name][0],) * 2

    def _store(self, name: str, side: int, kind: TypeProto | None, value: Array | None) -> None:
        if kind is not None:
            self._types[name] = (kind, kind) if side == 0 else (self._types[name][0], kind)
        if value is not None and side == 0:
            self._values[name] = (value, value)
        elif side == 1 and name in self._values:
            if value is None:
                del self._values[name]
            else:
                self._values[name] = (self._values[name][0], value)

    def _infer(
        self, node: NodeProto, side: int, opsets: Sequence[onnx.OperatorSetIdProto]
    ) -> dict[str, TypeProto]:
        types: dict[str, TypeProto] = {}
        shown: dict[str, TensorProto] = {}
        for name in filter(None, node.input):
            weight = self._weights.get(name)
            if weight is not None:
                types[name] = helper.make_tensor_type_proto(weight.data_type, weight.dims)
                if math.prod(weight.dims) <= _MOST_ELEMENTS_SHOWN_TO_INFERENCE:
                    shown[name] = weight
            elif name in self._types:
                types[name] = self._types[name][side]
                value = self._values.get(name, (None, None))[side]
                if value is not None and value.size <= _MOST_ELEMENTS_SHOWN_TO_INFERENCE:
                    shown[name] = numpy_helper.from_array(value)
        if any(name not in types for name in node.input if name):
            return {}
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, node.domain)
            return dict(
                shape_inference.infer_node_outputs(
                    schema, node, types, shown, opset_imports=list(opsets)
                )
            )
        except _NOT_INFERRED:
            return {}

    def _evaluate(
        self,
        node: NodeProto,
        side: int,
        types: Mapping[str, TypeProto],
        opsets: Sequence[onnx.OperatorSetIdProto],
    ) -> dict[str, Array]:
        if node.op_type == "Shape" and node.input[0] not in self._weights:
            return self._evaluate_shape(node, side)
        feeds = {name: self._side_value(name, side) for name in filter(None, node.input)}
        unknown = any(value is None for value in feeds.values())
        if unknown or node.op_type.startswith(_NEVER_FOLDED) or node.domain not in ("", "ai.onnx"):
            return {}
        if sum(_elements(kind) for kind in types.values()) > _MOST_ELEMENTS_EVALUATED or not types:
            return {}
        if self._evaluated_bytes > available_memory() // _SHARE_FOR_VALUES:
            return {}
        outputs = [name for name in node.output if name]
        function = helper.make_function(
            "fold", "node", list(feeds), outputs, [node], opset_imports=list(opsets)
        )
        results = ReferenceEvaluator(function).run(None, feeds, attributes={})
        arrays = {n: np.asarray(r) for n, r in zip(outputs, results, strict=True)}
        self._evaluated_bytes += sum(array.nbytes for array in arrays.values())
        return arrays

    def _side_value(self, name: str, side: int) -> Array | None:
        if name in self._weights:
            return self.value(name)
        return self._values.get(name, (None, None))[side]

    def _evaluate_shape(self, node: NodeProto, side: int) -> dict[str, Array]:
        pair = self._types.get(node.input[0])
        sizes = _sizes(pair[side]) if pair is not None else None
        if sizes is None:
            return {}
        start, end = attribute(node, "start", 0), attribute(node, "end")
        chosen = sizes[start:end]
        if any(size is None for size in chosen):
            return {}
        return {node.output[0]: np.array(chosen, np.int64)}


def analyse(
    nodes: Iterable[NodeProto],
    inputs: Mapping[str, TypeProto],
    weights: Mapping[str, TensorProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> Facts:
    """Find shapes, element types and constant values of all tensors of a graph.

    Args:
        nodes: In an order in which they can run.
        inputs: Types of the tensors that come from outside; an open first size is the batch.
        weights: Initializers by name.
        opsets: The model's operator sets.

    Returns:
        The facts; a tensor behind an operator that the installed onnx does not know has none.
    """
    opset = next(o.version for o in opsets if o.domain in ("", "ai.onnx"))
    facts = Facts(opset, _weights=dict(weights))
    for name, kind in inputs.items():
        sides = [_with_batch(kind, batch) for batch in PROBED_BATCHES]
        alike = sides[0] == sides[1]
        facts._types[name] = (sides[0], sides[0] if alike else sides[1])
    for node in nodes:
        facts._learn(node, opsets)
    return facts


def _with_batch(kind: TypeProto, batch: int) -> TypeProto:
    if not kind.tensor_type.HasField("shape"):
        return kind
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.tensor_type.shape.dim]
    if sizes and sizes[0] is None:
        sizes[0] = batch
    return helper.make_tensor_type_proto(kind.tensor_type.elem_type, sizes)


def _sizes(kind: TypeProto) -> tuple[int | None, ...] | None:
    tensor = kind.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)


def _elements(kind: TypeProto) -> int:
    sizes = _sizes(kind)
    known = [size for size in sizes or () if size is not None]
    if sizes is None or len(known) < len(sizes):
        return _MOST_ELEMENTS_EVALUATED + 1
    return math.prod(known)


def _same(first: Array, second: Array) -> bool:
    return first.dtype == second.dtype and np.array_equal(first, second)
