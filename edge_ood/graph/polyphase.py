"""A feature map in polyphase form: its elements by position modulo the stride of a convolution.

The gradient of a strided convolution comes so. Two of them are added phase by phase, and only their
sum is put together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from onnx import helper

from edge_ood.graph.array import GraphBuilder

__all__ = ["Polyphase", "add_polyphase", "interleave"]


@dataclass(frozen=True)
class Polyphase:
    """A tensor (N, C, H, W) as stride x stride tensors that interleave to the whole.

    Phase (a, b) holds the elements [:, :, a::stride, b::stride]. All phases have the size of
    phase (0, 0); what lies beyond H or W is arbitrary.

    Attributes:
        elem_type: `TensorProto.DataType` of all phases.
        sizes: C, H and W of the whole.
        strides: Of rows and of columns.
        tensors: Names by phase; a phase that is missing is zero.
    """

    elem_type: int
    sizes: tuple[int, int, int]
    strides: tuple[int, int]
    tensors: Mapping[tuple[int, int], str]


def add_polyphase(builder: GraphBuilder, first: Polyphase, second: Polyphase) -> Polyphase:
    """Sum of two tensors that are split in the same way."""
    total = dict(first.tensors)
    for phase, name in second.tensors.items():
        total[phase] = builder.add("Add", [total[phase], name]) if phase in total else name
    return Polyphase(first.elem_type, first.sizes, first.strides, total)


def interleave(builder: GraphBuilder, split: Polyphase) -> str:
    """Append the nodes that put the phases together; returns the name of the whole.

    Rows of single columns, then columns of rows: two concatenations, which onnxruntime runs faster
    than DepthToSpace or a transposition.
    """
    channels, height, width = split.sizes
    tensors = _with_zeros(builder, split)
    rows, columns = split.strides
    last_axis = builder.constant([4], np.int64)
    bands = []
    for row in range(rows):
        names = [tensors[row, column] for column in range(columns)]
        stacked = [builder.add("Unsqueeze", [name, last_axis]) for name in names]
        bands.append(builder.add("Concat", stacked, axis=4) if columns > 1 else stacked[0])
    whole = builder.add("Concat", bands, axis=3) if rows > 1 else bands[0]
    padded = [-(-height // rows) * rows, -(-width // columns) * columns]
    shape = builder.constant([-1, channels, *padded], np.int64)
    whole = builder.add("Reshape", [whole, shape])
    if padded == [height, width]:
        return whole
    bounds = ([0, 0], [height, width], [2, 3])
    return builder.add("Slice", [whole, *(builder.constant(b, np.int64) for b in bounds)])


def _with_zeros(builder: GraphBuilder, split: Polyphase) -> dict[tuple[int, int], str]:
    tensors = dict(split.tensors)
    rows, columns = split.strides
    everything = list(product(range(rows), range(columns)))
    if len(tensors) < len(everything):
        dtype = helper.tensor_dtype_to_np_dtype(split.elem_type)
        zero = helper.make_tensor("value", split.elem_type, [1], np.zeros(1, dtype))
        shape = builder.add("Shape", [next(iter(tensors.values()))])
        blank = builder.add("ConstantOfShape", [shape], value=zero)
        tensors = {phase: tensors.get(phase, blank) for phase in everything}
    return tensors
