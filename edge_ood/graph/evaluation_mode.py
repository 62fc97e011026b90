"""Networks whose answers mean nothing, whatever the image: broken weights, and training mode."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from edge_ood.errors import InputError
from edge_ood.graph.draft import names_read
from edge_ood.graph.sanity import all_nodes, inner_graphs
from edge_ood.graph.shapes import attribute

__all__ = ["check_mode", "check_weights"]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_SUMMING = frozenset(
    [
        *("BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GroupNormalization"),
        *("InstanceNormalization", "LayerNormalization", "MatMul", "PRelu"),
    ]
)
"""Operators with weights in which an infinity is a fault. Elsewhere it masks, or is no limit."""

_FIRST_WITH_MODES = 14
"""Opset in which batch normalisation says in which mode it is; before, its outputs tell."""


def check_weights(model: onnx.ModelProto) -> None:
    """Refuse weights that are not numbers, or infinite where that is a fault.

    Args:
        model: What is used of a network, and nothing else.

    Raises:
        InputError: Naming the first such tensor, and how many of its values are not finite.
    """
    weights = dict(_weights(model.graph))
    summed = {
        name
        for node in all_nodes(model.graph.node)
        if node.op_type in _SUMMING
        for name in node.input
    }
    for name, tensor in weights.items():
        if tensor.data_type not in _FLOATS:
            continue
        array = numpy_helper.to_array(tensor)
        broken = np.isnan(array) if name not in summed else ~np.isfinite(array)
        if broken.any():
            found = "infinite" if not np.isnan(array).any() else "NaN"
            raise InputError(
                f"{int(broken.sum())} of {array.size} values of weight {name!r} are {found}",
                hint="its training diverged or its conversion overflowed; take an earlier "
                "checkpoint, or float32",
            )


def check_mode(model: onnx.ModelProto) -> None:
    """Refuse a network that was exported in training mode.

    Args:
        model: What is used of a network, and nothing else.

    Raises:
        InputError: Naming the first node that treats an image differently by chance or by batch.
    """
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    weights = dict(_weights(model.graph))
    folded = opset >= _FIRST_WITH_MODES  # onnxruntime runs no older one, either
    seeing = _that_see_images(model.graph) if folded else model.graph.node
    for node in all_nodes(seeing):
        if node.op_type == "BatchNormalization" and _normalises_by_batch(node, opset):
            raise _training(node, "what it says of an image depends on the others in its batch")
    for node in all_nodes(model.graph.node):
        if node.op_type == "Dropout" and _drops(node, weights):
            raise _training(node, "two runs on one image differ")


def _that_see_images(graph: onnx.GraphProto) -> Iterator[NodeProto]:
    """Nodes that depend on the input; networks that standardise their weights have others."""
    seen = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if not seen.isdisjoint(names_read(node)):
            seen.update(filter(None, node.output))
            yield node


def _normalises_by_batch(node: NodeProto, opset: int) -> bool:
    if opset >= _FIRST_WITH_MODES:
        return bool(attribute(node, "training_mode", 0))
    return sum(map(bool, node.output)) > 1


def _drops(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    mode = weights.get(node.input[2]) if len(node.input) > 2 else None
    return mode is not None and bool(numpy_helper.to_array(mode))


def _weights(graph: onnx.GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """Initializers and constants by name, those of sub-graphs included."""
    yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for node in graph.node:
        value = attribute(node, "value") if node.op_type == "Constant" else None
        if isinstance(value, TensorProto):
            yield node.output[0], value
        for inner in inner_graphs(node):
            yield from _weights(inner)


def _training(node: NodeProto, effect: str) -> InputError:
    called = f"{node.op_type} node {(node.name or node.output[0])!r}"
    return InputError(
        f"{called} is in training mode: {effect}",
        hint="export it in evaluation mode: model.eval() in PyTorch, training=False in Keras",
    )
