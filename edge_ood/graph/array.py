"""Arrays that record ONNX nodes instead of computing: arithmetic appends to a `GraphBuilder`.

Functions of such arrays are those of `edge_ood.graph.namespace`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_ood.errors import InputError

__all__ = ["OPSET", "GraphArray", "GraphBuilder", "GraphOrder"]

OPSET = 18
"""Newest opset that the oldest supported onnxruntime (1.17) runs in full."""

_LONG = 1024
"""Elements of a constant for which two bytes each are worth a node."""


class GraphBuilder:
    """Nodes and initializers in the making, with names that cannot collide."""

    def __init__(self, prefix: str = "edge_ood") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output; `name=` names it. Returns the output's name."""
        name = attributes.pop("name", None) or f"{self._prefix}/{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def add_all(
        self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """As `add`, for a node with several outputs."""
        first = self.add(op_type, inputs, **attributes)
        others = [f"{first}/{number}" for number in range(1, count)]
        self.nodes[-1].output.extend(others)
        return [first, *others]

    def call(self, tensor: str, name: str) -> None:
        """Give a tensor a fixed name: what was just recorded takes it, anything else is copied."""
        last = self.nodes[-1] if self.nodes else None
        if last is not None and list(last.output) == [tensor] and tensor.startswith(self._prefix):
            last.output[0] = last.name = name
        else:
            self.add("Identity", [tensor], name=name)

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Name of a tensor with these values; equal constants are stored once.

        Long ones whose values float16 holds to the bit lie in the file as such.
        """
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"{self._prefix}/constant_{len(self._constants)}"
            if _is_short_or_inexact(array):
                self.initializer(name, array)
            else:
                half = self.initializer(f"{name}/float16", array.astype(np.float16))
                self.add("Cast", [half], name=name, to=TensorProto.FLOAT)
            self._constants[key] = name
        return self._constants[key]

    def initializer(self, name: str, array: NDArray[Any]) -> str:
        """Add an initializer under a fixed name and return that name."""
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name


def _is_short_or_inexact(array: NDArray[Any]) -> bool:
    """Whether a constant is to be stored as it is."""
    if array.dtype != np.float32 or array.size < _LONG:
        return True
    with np.errstate(over="ignore"):
        return not np.array_equal(array.astype(np.float16).astype(np.float32), array)


class GraphArray:
    """A tensor of the graph being recorded; arithmetic on it appends nodes."""

    __array_ufunc__ = None  # NumPy arrays on the left leave the operation to us

    def __init__(self, builder: GraphBuilder, name: str, dtype: Any = np.float32) -> None:
        self.builder = builder
        self.name = name
        self.dtype = np.dtype(dtype)

    def apply(
        self, op_type: str, *others: Any, dtype: Any = None, **attributes: Any
    ) -> "GraphArray":
        """A node with this array as first input; plain numbers become constants of its dtype."""
        inputs = [self.name, *(self.operand(other) for other in others)]
        name = self.builder.add(op_type, inputs, **attributes)
        return GraphArray(self.builder, name, dtype or self.dtype)

    def operand(self, other: Any) -> str:
        """Name of another operand; plain numbers become a constant of this dtype."""
        if isinstance(other, GraphArray):
            return other.name
        return self.builder.constant(other, self.dtype)

    def reflected(self, op_type: str, other: Any) -> "GraphArray":
        """A node with this array as second input."""
        left = GraphArray(self.builder, self.operand(other), self.dtype)
        return left.apply(op_type, self)

    def __add__(self, other: Any) -> "GraphArray":
        return self if _is_number(other, 0) else self.apply("Add", other)

    __radd__ = __add__

    def __mul__(self, other: Any) -> "GraphArray":
        return self if _is_number(other, 1) else self.apply("Mul", other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> "GraphArray":
        return self if _is_number(other, 0) else self.apply("Sub", other)

    def __rsub__(self, other: Any) -> "GraphArray":
        return self.reflected("Sub", other)

    def __truediv__(self, other: Any) -> "GraphArray":
        return self if _is_number(other, 1) else self.apply("Div", other)

    def __rtruediv__(self, other: Any) -> "GraphArray":
        return self.reflected("Div", other)

    def __neg__(self) -> "GraphArray":
        return self.apply("Neg")

    def __pow__(self, exponent: float) -> "GraphArray":
        return self if _is_number(exponent, 1) else self.apply("Pow", exponent)

    def __lt__(self, other: Any) -> "GraphArray":
        return self.apply("Less", other, dtype=np.bool_)

    def __getitem__(self, index: Any) -> "GraphArray":
        """Full slices with exactly one integer, such as `x[:, 0]`."""
        parts = index if isinstance(index, tuple) else (index,)
        axes = [axis for axis, part in enumerate(parts) if isinstance(part, int)]
        if len(axes) != 1 or any(
            part != slice(None) for part in parts if not isinstance(part, int)
        ):
            raise InputError(f"the graph recorder cannot index by {index!r}, only by one integer")
        position = GraphArray(
            self.builder, self.builder.constant(parts[axes[0]], np.int64), np.int64
        )
        return self.apply("Gather", position, axis=axes[0])


class GraphOrder:
    """What sorting the rows of a tensor gives, recorded as far as it is looked at.

    Args:
        rows: (N, D).
        of_indices: Where the values stood, in place of the values.
    """

    def __init__(self, rows: GraphArray, *, of_indices: bool = False) -> None:
        self._rows = rows
        self._of_indices = of_indices

    def __getitem__(self, index: Any) -> GraphArray:
        """The first columns, `[:, :k]`, at most as many as there are, or one of them, `[:, k]`."""
        match index:
            case (slice(start=None, stop=None, step=None), slice(start=None, stop=int(k))):
                return self._first(k)
            case (slice(start=None, stop=None, step=None), int(k)):
                return self._first(k + 1)[:, k]
        raise InputError(f"the graph recorder cannot index an order by {index!r}")

    def _first(self, count: int) -> GraphArray:
        rows, builder = self._rows, self._rows.builder
        width = builder.add("Shape", [rows.name], start=1, end=2)
        kept = builder.add("Min", [width, builder.constant([count], np.int64)])
        values, indices = builder.add_all("TopK", [rows.name, kept], 2, axis=1, largest=0)
        if self._of_indices:
            return GraphArray(builder, indices, np.int64)
        return GraphArray(builder, values, rows.dtype)


def _is_number(value: Any, number: float) -> bool:
    """Whether an operand is this one number, such as the 1 of a temperature that is left alone."""
    return isinstance(value, int | float | np.number) and value == number
