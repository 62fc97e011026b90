"""The same function with less to do: constants folded, batch normalisation absorbed, rest dropped.

Outputs keep their names, and a model keeps its metadata, opset and IR version.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import NodeProto, inliner, numpy_helper

from edge_ood.errors import UnknownNameError
from edge_ood.graph.batch_norm import fold_into_next, fold_into_previous
from edge_ood.graph.draft import Draft, drop_unused, finish, start
from edge_ood.graph.shapes import Facts

__all__ = ["fold_batch_norm", "fold_constants", "prune", "simplify"]

_LARGEST_GROWTH = 1 << 16
"""Elements by which a folded constant may exceed what it is computed from."""

_PASS_THROUGH = frozenset(["Cast", "Dropout", "Expand", "Flatten", "Identity", "Reshape"])
"""Operators that do nothing if type and shape of their output are those of their input."""


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
    return _rewritten(model, [_fold_constants, _drop_no_ops, drop_unused])


def fold_batch_norm(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose batch normalisations are absorbed by the convolutions next to them.

    One that follows a convolution always is; one that precedes it is where the convolution has no
    padding, because padding stands behind the normalisation. Values differ by rounding only.
    """
    return _rewritten(model, [fold_into_previous, fold_into_next, drop_unused])


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
    draft = start(model)
    draft.outputs = list(outputs)
    drop_unused(draft)
    pruned = finish(model, draft)
    del pruned.graph.output[:]
    pruned.graph.output.extend(known[name] for name in outputs)
    return pruned


def _rewritten(
    model: onnx.ModelProto, passes: Sequence[Callable[[Draft], None]]
) -> onnx.ModelProto:
    draft = start(model)
    for rewrite in passes:
        rewrite(draft)
    return finish(model, draft)


def _fold_constants(draft: Draft) -> None:
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


def _fix_shape(draft: Draft, node: NodeProto, facts: Facts) -> None:
    """Write -1 for the one size of a Reshape that follows the batch."""
    if node.op_type != "Reshape" or facts.value(node.input[1]) is not None:
        return
    extents = facts.extents(node.output[0])
    if extents is None or any(None in pair for pair in extents):
        return
    sizes = [first if first == second else -1 for first, second in extents]
    if sizes.count(-1) == 1 and 0 not in sizes:
        node.input[1] = draft.add(f"{node.output[0]}/shape", np.array(sizes, np.int64))


def _drop_no_ops(draft: Draft) -> None:
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


_PASSES: tuple[Callable[[Draft], None], ...] = (
    _fold_constants,
    _drop_no_ops,
    fold_into_previous,
    fold_into_next,
    drop_unused,
)
