"""A gradient in float32 through a network that computes in float16.

Gradients are small numbers: of ODIN's loss, which is divided by T = 1000, most would vanish in
float16, and operators that only gradients need have no float16 kernels. So the gradient is that of
the same network with its float16 weights and maps read as float32.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.draft import finish, start
from edge_ood.graph.gradient import append_gradient
from edge_ood.graph.shapes import analyse, attribute

__all__ = ["append_wide_gradient", "in_float32"]

_WIDE = "/float32"


def append_wide_gradient(
    builder: GraphBuilder, *, of: str, wrt: str, inputs: Sequence[ValueInfoProto], opset: int
) -> str:
    """As `append_gradient`, in float32 also where the forward graph computes in float16.

    Args:
        builder: Holds the forward graph; gets the new nodes.
        of: Name of a float32 tensor, one loss per image (N,).
        wrt: Name of the float32 tensor to differentiate by.
        inputs: As in `append_gradient`.
        opset: Of the forward graph.

    Returns:
        Name of the gradient.

    Raises:
        ExportError: As `append_gradient` does.
    """
    names = _wide_names(builder.nodes, builder.initializers, inputs, opset)
    if not names:
        return append_gradient(builder, of=of, wrt=wrt, inputs=inputs, opset=opset)
    wide = GraphBuilder(prefix=f"{wrt}/wide_{len(builder.nodes)}")
    widened = (_widened(node, names) for node in builder.nodes)
    wide.nodes.extend(node for node in widened if node is not None)
    wide.initializers.extend(_as_float32(tensor, names) for tensor in builder.initializers)
    nodes, weights = len(wide.nodes), len(wide.initializers)
    gradient = append_gradient(wide, of=of, wrt=wrt, inputs=inputs, opset=opset)
    known = {name for node in builder.nodes for name in node.output}
    halves = {whole: half for half, whole in names.items() if whole not in known}
    for name in dict.fromkeys(name for node in wide.nodes[nodes:] for name in node.input):
        if name in halves:
            to = TensorProto.FLOAT
            cast = helper.make_node("Cast", [halves[name]], [name], name=f"{name}/cast", to=to)
            builder.nodes.append(cast)
    builder.initializers.extend(wide.initializers[weights:])
    builder.nodes.extend(wide.nodes[nodes:])
    return gradient


def in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose inputs and outputs are float32 already, with nothing in float16 between them.

    Args:
        model: Stays as it is.
    """
    draft = start(model)
    opset = next(o.version for o in draft.opsets if o.domain in ("", "ai.onnx"))
    names = _wide_names(draft.nodes, draft.weights.values(), draft.inputs.values(), opset)
    if not names:
        return model
    widened = (_widened(node, names) for node in draft.nodes)
    draft.nodes = [node for node in widened if node is not None]
    wide = (_as_float32(tensor, names) for tensor in draft.weights.values())
    draft.weights = {tensor.name: tensor for tensor in wide}
    return finish(model, draft)


def _wide_names(
    nodes: Sequence[NodeProto],
    initializers: Iterable[TensorProto],
    inputs: Iterable[ValueInfoProto],
    opset: int,
) -> dict[str, str]:
    """What each float16 tensor is called in float32."""
    casts = [node for node in nodes if node.op_type == "Cast"]
    weights = {tensor.name: tensor for tensor in initializers}
    to_half = any(attribute(node, "to") == TensorProto.FLOAT16 for node in casts)
    if not to_half and all(w.data_type != TensorProto.FLOAT16 for w in weights.values()):
        return {}
    types = {value.name: value.type for value in inputs}
    facts = analyse(nodes, types, weights, [helper.make_opsetid("", opset)])
    made = (name for node in nodes for name in node.output)
    return {
        name: name + _WIDE
        for name in (*weights, *made)
        if facts.elem_type(name) == TensorProto.FLOAT16
    }


def _widened(node: NodeProto, names: dict[str, str]) -> NodeProto | None:
    """The node between float32 tensors; None for a cast between a tensor and itself."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for part in copy.attribute:
        if node.op_type == "Cast" and part.i == TensorProto.FLOAT16:
            part.i = TensorProto.FLOAT
        if part.type == AttributeProto.TENSOR:
            part.t.CopyFrom(_as_float32(part.t, {}))
    return None if node.op_type == "Cast" and copy.input[0] == copy.output[0] else copy


def _as_float32(tensor: TensorProto, names: dict[str, str]) -> TensorProto:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    array: Any = numpy_helper.to_array(tensor)
    return numpy_helper.from_array(array.astype(np.float32), names.get(tensor.name, tensor.name))
