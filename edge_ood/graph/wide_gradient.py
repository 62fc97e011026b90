"""A gradient in float32 through a network that computes in float16.

Gradients are small numbers: of ODIN's loss, which is divided by T = 1000, most would vanish in
float16, and operators that only gradients need have no float16 kernels. So the gradient is that of
the same network with its float16 weights and maps read as float32.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import append_gradient
from edge_ood.graph.precision import half_name, whole_name

__all__ = ["append_wide_gradient"]


def append_wide_gradient(
    builder: GraphBuilder, *, of: str, wrt: str, inputs: Sequence[ValueInfoProto], opset: int
) -> str:
    """As `append_gradient`, in float32 also where `with_float16` converted the forward graph.

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
    if all(tensor.data_type != TensorProto.FLOAT16 for tensor in builder.initializers):
        return append_gradient(builder, of=of, wrt=wrt, inputs=inputs, opset=opset)
    wide = GraphBuilder(prefix=f"{wrt}/wide_{len(builder.nodes)}")
    wide.nodes.extend(node for node in map(_widened, builder.nodes) if node is not None)
    wide.initializers.extend(map(_as_float32, builder.initializers))
    nodes, weights = len(wide.nodes), len(wide.initializers)
    gradient = append_gradient(wide, of=of, wrt=wrt, inputs=inputs, opset=opset)
    known = {name for node in builder.nodes for name in node.output}
    known.update(tensor.name for tensor in builder.initializers)
    halves = {name for name in known if name != whole_name(name)}
    for name in dict.fromkeys(name for node in wide.nodes[nodes:] for name in node.input):
        if name not in known and half_name(name) in halves:
            source, to = half_name(name), TensorProto.FLOAT
            cast = helper.make_node("Cast", [source], [name], name=f"{name}/cast", to=to)
            builder.nodes.append(cast)
    builder.initializers.extend(wide.initializers[weights:])
    builder.nodes.extend(wide.nodes[nodes:])
    return gradient


def _widened(node: NodeProto) -> NodeProto | None:
    """The node between float32 tensors; None for a cast between a tensor and itself."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = map(whole_name, node.input)
    copy.output[:] = map(whole_name, node.output)
    if node.op_type != "Cast":
        return copy
    for attribute in copy.attribute:
        if attribute.i == TensorProto.FLOAT16:
            attribute.CopyFrom(helper.make_attribute("to", int(TensorProto.FLOAT)))
    return None if copy.input[0] == copy.output[0] else copy


def _as_float32(tensor: TensorProto) -> TensorProto:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    array: Any = numpy_helper.to_array(tensor)
    return numpy_helper.from_array(array.astype(np.float32), whole_name(tensor.name))
