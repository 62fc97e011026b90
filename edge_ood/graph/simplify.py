"""The same function with fewer nodes: constants folded, batch normalisation absorbed, rest dropped.

Outputs keep their names, and a model keeps its metadata, opset and IR version.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, inliner, numpy_helper

from edge_ood.errors import UnknownNameError
from edge_ood.graph.shapes import Facts, analyse, attribute

__all__ = ["fold_batch_norm", "fold_constants", "prune", "simplify"]

_LARGEST_GROWTH = 1 << 16
"""Elements by which a folded constant may exceed what it is computed from."""

_PASS_THROUGH = frozenset(["Cast", "Dropout", "Expand", "Flatten", "Identity", "Reshape"])
"""Operators that do nothing if type and shape of their output are those of their input."""


@dataclass
class _Draft:
    """A graph being rewritten in place."""

    nodes: list[NodeProto]
    weights: dict[str, TensorProto]
    inputs: dict[str, onnx.ValueInfoProto]
    outputs: list[str]
    opsets: list[onnx.OperatorSetIdProto]

    def facts(self) -> Facts:
        """Shapes and constants of the graph as it is now."""
        types = {name: value.type for name, value in self.inputs.items()}
        return analyse(self.nodes, types, self.weights, self.opsets)

    def array(self, name: str) -> NDArray[Any] | None:
        """An initializer's values."""
        return numpy_helper.to_array(self.weights[name]) if name in self.weights else None

    def add(self, name: str, array: NDArray[Any]) -> str:
        """Store an initializer under a name that starts like `name`; returns its name."""
        while name in self.weights:
            name += "/folded"
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def uses(self) -> Counter[str]:
        """How many times each tensor is read, the graph's outputs included."""
        read = Counter(name for node in self.nodes for name in node.input)
        return read + Counter(self.outputs)

    def rename(self, renamed: dict[str, str]) -> None:
        """Let every node read other tensors."""
        for node in self.nodes:
            for position, name in enumerate(node.input):
                if name in renamed:
                    node.input[position] = renamed[name]


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model that computes the same with fewer nodes.

    Args:
        model: Weights may be declared as inputs, and local functions may be used; neither is so in
            the result.

    Returns:
        A model with the same inputs, outputs and metadata. Values differ by rounding only.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    return _rewritten(model, _PASSES)


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model without the nodes that compute the same for every input, and without no-ops."""
    return _rewritten(model, [_fold_constants, _drop_no_ops, _drop_unused])


def fold_batch_norm(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose batch normalisations are absorbed by the convolutions next to them.

    One that follows a convolution always is; one that precedes it is where the convolution has no
    padding, because padding stands behind the normalisation. Values differ by rounding only.
    """
    return _rewritten(model, [_fold_into_previous, _fold_into_next, _drop_unused])


def prune(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """A model that computes only some outputs, with everything dropped that they do not need.

    Args:
        model: Stays as it is.
        outputs: Names of outputs of the model, in the order wanted.

    Returns:
        The model with the same inputs and metadata.

    Raises:
        UnknownNameError: If one is no output of the model.
    """
    known = {value.name: value for value in model.graph.output}
    for name in outputs:
        if name not in known:
            raise UnknownNameError("model output", name, known)
    draft = _draft(model)
    draft.outputs = list(outputs)
    _drop_unused(draft)
    pruned = _model(model, draft)
    del pruned.graph.output[:]
    pruned.graph.output.extend(known[name] for name in outputs)
    return pruned


def _rewritten(
    model: onnx.ModelProto, passes: Sequence[Callable[[_Draft], None]]
) -> onnx.ModelProto:
    draft = _draft(model)
    for rewrite in passes:
        rewrite(draft)
    return _model(model, draft)


def _draft(model: onnx.ModelProto) -> _Draft:
    copies = []
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    outputs = [value.name for value in model.graph.output]
    return _Draft(copies, weights, inputs, outputs, list(model.opset_import))


def _model(model: onnx.ModelProto, draft: _Draft) -> onnx.ModelProto:
    """The draft as a model, with everything from `model` that is not its graph."""
    made = {name for node in draft.nodes for name in node.output}
    graph = helper.make_graph(
        draft.nodes,
        model.graph.name,
        list(draft.inputs.values()),
        model.graph.output,
        list(draft.weights.values()),
        doc_string=model.graph.doc_string,
        value_info=[value for value in model.graph.value_info if value.name in made],
    )
    result = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        if field.is_repeated:
            getattr(result, field.name).extend(value)
        else:
            setattr(result, field.name, value)
    result.graph.CopyFrom(graph)
    return result


def _drop_unused(draft: _Draft) -> None:
    needed = set(draft.outputs)
    kept = []
    for node in reversed(draft.nodes):
        if not needed.isdisjoint(node.output):
            needed.update(_read(node))
            kept.append(node)
    draft.nodes = kept[::-1]
    draft.weights = {name: w for name, w in draft.weights.items() if name in needed}


def _read(node: NodeProto) -> set[str]:
    """Names that a node reads, those that its sub-graphs take from outside included."""
    names = set(node.input)
    for part in node.attribute:
        for graph in [part.g] if part.HasField("g") else list(part.graphs):
            for inner in graph.node:
                names |= _read(inner)
            names.update(value.name for value in graph.output)
    return names


def _fold_constants(draft: _Draft) -> None:
    facts = draft.facts()
    kept = []
    for node in draft.nodes:
        _fix_shape(draft, node, facts)
        arrays = [facts.value(name) for name in node.output if name]
        constant = all(array is not None and array.dtype.kind != "O" for array in arrays)
        size = sum(array.size for array in arrays if array is not None)
        known = sum(_size(facts, name) for name in node.input)
        is_output = not set(draft.outputs).isdisjoint(node.output)
        if is_output or not constant or size > known + _LARGEST_GROWTH:
            kept.append(node)
            continue
        for name, array in zip(filter(None, node.output), arrays, strict=True):
            if array is not None:
                draft.weights[name] = numpy_helper.from_array(np.asarray(array), name)
    draft.nodes = kept


def _size(facts: Facts, name: str) -> int:
    array = facts.value(name) if name else None
    return 0 if array is None else array.size


def _fix_shape(draft: _Draft, node: NodeProto, facts: Facts) -> None:
    """Write -1 for the one size of a Reshape that follows the batch."""
    if node.op_type != "Reshape" or facts.value(node.input[1]) is not None:
        return
    extents = facts.extents(node.output[0])
    if extents is None or any(None in pair for pair in extents):
        return
    sizes = [first if first == second else -1 for first, second in extents]
    if sizes.count(-1) == 1 and 0 not in sizes:
        node.input[1] = draft.add(f"{node.output[0]}/shape", np.array(sizes, np.int64))


def _drop_no_ops(draft: _Draft) -> None:
    facts = draft.facts()
    renamed: dict[str, str] = {}
    kept = []
    for node in draft.nodes:
        if _is_no_op(node, facts) and node.output[0] not in draft.outputs:
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    draft.nodes = kept
    draft.rename(renamed)


def _is_no_op(node: NodeProto, facts: Facts) -> bool:
    if node.op_type not in _PASS_THROUGH or node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type == "Dropout" and (len(node.output) > 1 or len(node.input) > 2):
        return False
    source, target = node.input[0], node.output[0]
    extents = facts.extents(source)
    if extents is None or any(None in pair for pair in extents):
        return False
    same_type = facts.elem_type(source) == facts.elem_type(target)
    return same_type and extents == facts.extents(target)


def _fold_into_previous(draft: _Draft) -> None:
    makers = {node.output[0]: node for node in draft.nodes if node.op_type == "Conv"}
    uses = draft.uses()
    kept = []
    for node in draft.nodes:
        maker = makers.get(node.input[0]) if _is_fixed_norm(draft, node) else None
        if maker is None or uses[node.input[0]] > 1 or not _has_fixed_weights(draft, maker):
            kept.append(node)
            continue
        scale, shift = _affine(draft, node)
        weights, bias = _weights_and_bias(draft, maker)
        scaled = weights * scale.reshape(-1, *[1] * (weights.ndim - 1))
        _set_weights(draft, maker, scaled, bias * scale + shift)
        maker.output[0] = node.output[0]
        makers[node.output[0]] = maker
    draft.nodes = kept


def _fold_into_next(draft: _Draft) -> None:
    norms = {n.output[0]: n for n in draft.nodes if _is_fixed_norm(draft, n)}
    uses = draft.uses()
    absorbed = set()
    for node in draft.nodes:
        norm = norms.get(node.input[0]) if node.op_type == "Conv" else None
        if norm is None or uses[node.input[0]] > 1 or not _has_fixed_weights(draft, node):
            continue
        if any(attribute(node, "pads", [])) or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            continue
        scale, shift = _affine(draft, norm)
        weights, bias = _weights_and_bias(draft, node)
        group = attribute(node, "group", 1)
        per_input = (group, 1, -1, *[1] * (weights.ndim - 2))
        grouped = weights.reshape(group, -1, *weights.shape[1:])
        added = (grouped * shift.reshape(per_input)).reshape(weights.shape)
        scaled = (grouped * scale.reshape(per_input)).reshape(weights.shape)
        _set_weights(draft, node, scaled, bias + added.reshape(len(weights), -1).sum(axis=1))
        node.input[0] = norm.input[0]
        absorbed.add(norm.output[0])
    draft.nodes = [node for node in draft.nodes if node.output[0] not in absorbed]


def _is_fixed_norm(draft: _Draft, node: NodeProto) -> bool:
    return (
        node.op_type == "BatchNormalization"
        and not attribute(node, "training_mode", 0)
        and all(name in draft.weights for name in node.input[1:])
    )


def _has_fixed_weights(draft: _Draft, conv: NodeProto) -> bool:
    return all(name in draft.weights for name in conv.input[1:] if name)


def _affine(draft: _Draft, norm: NodeProto) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift (C,) of a batch normalisation, in float64."""
    scale, bias, mean, variance = (
        numpy_helper.to_array(draft.weights[name]).astype(np.float64) for name in norm.input[1:]
    )
    factor = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    return factor, bias - mean * factor


def _weights_and_bias(
    draft: _Draft, conv: NodeProto
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weights = numpy_helper.to_array(draft.weights[conv.input[1]]).astype(np.float64)
    if len(conv.input) < 3 or not conv.input[2]:
        return weights, np.zeros(len(weights))
    return weights, numpy_helper.to_array(draft.weights[conv.input[2]]).astype(np.float64)


def _set_weights(
    draft: _Draft, conv: NodeProto, weights: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    name = conv.input[1]
    dtype = helper.tensor_dtype_to_np_dtype(draft.weights[name].data_type)
    new_bias = f"{conv.output[0]}/bias"
    conv.input[1:] = [
        draft.add(name, weights.astype(dtype)),
        draft.add(new_bias, bias.astype(dtype)),
    ]


_PASSES: tuple[Callable[[_Draft], None], ...] = (
    _fold_constants,
    _drop_no_ops,
    _fold_into_previous,
    _fold_into_next,
    _drop_unused,
)
