"""Shapes of feature maps written into a graph, for a runtime that cannot find them out itself.

onnxruntime's CPU kernels keep a tensor in their blocked memory layout only where they can tell that
two batches are equally large. Its own inference loses the batch's symbol at the first reshape.
"""

from collections.abc import Sequence
from math import gcd

import onnx
from onnx import ValueInfoProto, helper

from edge_ood.graph.shapes import PROBED_BATCHES, Facts, analyse

__all__ = ["declare_shapes"]

_RANK = 4
"""Of a feature map (N, C, H, W)."""


def declare_shapes(model: onnx.ModelProto, sources: Sequence[ValueInfoProto]) -> None:
    """Add the shapes of all feature maps that are computed from some known tensors, in place.

    Only tensors of rank 4 are declared: the others have no layout, and a graph's constants, which
    decide their shapes, may still be replaced.

    Args:
        model: What it declares already stays.
        sources: Types of the tensors to start from, inputs of the graph or not; a name given to
            their open first size stands for the batch in all shapes.
    """
    graph = model.graph
    types = {value.name: value.type for value in sources}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    facts = analyse(graph.node, types, weights, model.opset_import)
    symbol = next((_symbol(value) for value in sources if _symbol(value)), "N")
    declared = {v.name for v in (*graph.input, *graph.output, *graph.value_info)}
    for name in (*types, *(name for node in graph.node for name in node.output if name)):
        value = None if name in declared else _declaration(facts, name, symbol)
        if value is not None:
            graph.value_info.append(value)


def _symbol(value: ValueInfoProto) -> str:
    sizes = value.type.tensor_type.shape.dim
    return str(sizes[0].dim_param) if sizes else ""


def _declaration(facts: Facts, name: str, symbol: str) -> ValueInfoProto | None:
    extents = facts.extents(name)
    if extents is None or len(extents) != _RANK or not facts.elem_type(name):
        return None
    sizes = [_size(pair, symbol) for pair in extents]
    return helper.make_tensor_value_info(name, facts.elem_type(name), sizes)


def _size(pair: tuple[int | None, int | None], symbol: str) -> int | str | None:
    """A number, the batch's symbol, or a multiple of it."""
    first, second = pair
    if first is None or second is None:
        return None
    if first == second:
        return first
    factor = gcd(first, second)
    is_multiple = (first, second) == tuple(factor * batch for batch in PROBED_BATCHES)
    return (symbol if factor == 1 else f"{factor}*{symbol}") if is_multiple else None
