"""An array namespace that records ONNX nodes instead of computing.

`GraphNamespace` offers the functions of the Python array API that score heads use. Called on a
`GraphArray` they append a node of opset 18 to a `GraphBuilder`; called on NumPy arrays only they
compute, so that expressions of fitted statistics become constants of the graph.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_ood.errors import InputError, ShapeError

__all__ = ["OPSET", "GraphArray", "GraphBuilder", "GraphNamespace"]

OPSET = 18
"""Newest opset that the oldest supported onnxruntime (1.17) runs in full."""


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

    def call(self, tensor: str, name: str) -> None:
        """Give a tensor a fixed name: what was just recorded takes it, anything else is copied."""
        last = self.nodes[-1] if self.nodes else None
        if last is not None and list(last.output) == [tensor] and tensor.startswith(self._prefix):
            last.output[0] = last.name = name
        else:
            self.add("Identity", [tensor], name=name)

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Name of an initializer with these values; equal constants are stored once."""
        array = np.asarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.initializer(
                f"{self._prefix}/constant_{len(self._constants)}", array
            )
        return self._constants[key]

    def initializer(self, name: str, array: NDArray[Any]) -> str:
        """Add an initializer under a fixed name and return that name."""
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name


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
        inputs = [self.name, *(self._operand(other) for other in others)]
        name = self.builder.add(op_type, inputs, **attributes)
        return GraphArray(self.builder, name, dtype or self.dtype)

    def _operand(self, other: Any) -> str:
        if isinstance(other, GraphArray):
            return other.name
        return self.builder.constant(other, self.dtype)

    def _reflected(self, op_type: str, other: Any) -> "GraphArray":
        left = GraphArray(self.builder, self._operand(other), self.dtype)
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
        return self._reflected("Sub", other)

    def __truediv__(self, other: Any) -> "GraphArray":
        return self if _is_number(other, 1) else self.apply("Div", other)

    def __rtruediv__(self, other: Any) -> "GraphArray":
        return self._reflected("Div", other)

    def __neg__(self) -> "GraphArray":
        return self.apply("Neg")

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


class GraphNamespace:
    """The array API functions that score heads may call."""

    def exp(self, x: Any) -> Any:
        """Elementwise exponential."""
        return x.apply("Exp") if isinstance(x, GraphArray) else np.exp(x)

    def log(self, x: Any) -> Any:
        """Elementwise natural logarithm."""
        return x.apply("Log") if isinstance(x, GraphArray) else np.log(x)

    def expm1(self, x: Any) -> Any:
        """Elementwise `exp(x) - 1`, exact near 0: `2 t / (1 - t)` with `t = tanh(x / 2)`."""
        if not isinstance(x, GraphArray):
            return np.expm1(x)
        t = (x * 0.5).apply("Tanh")
        return 2 * t / (1 - t)

    def log1p(self, x: Any) -> Any:
        """Elementwise `log(1 + x)`, exact near 0: `2 atanh(x / (2 + x))`."""
        if not isinstance(x, GraphArray):
            return np.log1p(x)
        return 2 * (x / (x + 2)).apply("Atanh")

    def abs(self, x: Any) -> Any:
        """Elementwise absolute value."""
        return x.apply("Abs") if isinstance(x, GraphArray) else np.abs(x)

    def sqrt(self, x: Any) -> Any:
        """Elementwise square root."""
        return x.apply("Sqrt") if isinstance(x, GraphArray) else np.sqrt(x)

    def max(self, x: Any, *, axis: int, keepdims: bool = False) -> Any:
        """Maximum over one axis."""
        return _reduce("ReduceMax", np.max, x, axis, keepdims)

    def min(self, x: Any, *, axis: int, keepdims: bool = False) -> Any:
        """Minimum over one axis."""
        return _reduce("ReduceMin", np.min, x, axis, keepdims)

    def sum(self, x: Any, *, axis: int, keepdims: bool = False) -> Any:
        """Sum over one axis."""
        return _reduce("ReduceSum", np.sum, x, axis, keepdims)

    def mean(self, x: Any, *, axis: int, keepdims: bool = False) -> Any:
        """Mean over one axis."""
        return _reduce("ReduceMean", np.mean, x, axis, keepdims)

    def argmin(self, x: Any, *, axis: int) -> Any:
        """Index of the first minimum over one axis, int64."""
        if isinstance(x, GraphArray):
            return x.apply("ArgMin", dtype=np.int64, axis=axis, keepdims=0)
        return np.argmin(x, axis=axis)

    def argmax(self, x: Any, *, axis: int) -> Any:
        """Index of the first maximum over one axis, int64."""
        if isinstance(x, GraphArray):
            return x.apply("ArgMax", dtype=np.int64, axis=axis, keepdims=0)
        return np.argmax(x, axis=axis)

    def matmul(self, a: Any, b: Any) -> Any:
        """Matrix product."""
        return _binary("MatMul", np.matmul, a, b)

    def tensordot(self, a: Any, b: Any, *, axes: Any) -> Any:
        """Product of the rows of one matrix with those of another, `a @ b.T`: axes ((1,), (1,))."""
        if not isinstance(a, GraphArray):
            return np.tensordot(a, b, axes=axes)
        if axes != ((1,), (1,)):
            raise InputError(f"the graph recorder cannot contract axes {axes!r}, only rows by rows")
        return a.apply("Gemm", b, transB=1)

    def take(self, x: Any, indices: Any, *, axis: int) -> Any:
        """Slices of x at 1-D indices along one axis."""
        if isinstance(indices, GraphArray) and not isinstance(x, GraphArray):
            constant = indices.builder.constant(x, np.float32)
            x = GraphArray(indices.builder, constant)
        if isinstance(x, GraphArray):
            return x.apply("Gather", indices, axis=axis)
        return np.take(x, indices, axis=axis)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """Elements of a where the condition holds, else of b; one of both must be recorded."""
        if not isinstance(condition, GraphArray):
            return np.where(condition, a, b)
        recorded = next((x for x in (a, b) if isinstance(x, GraphArray)), None)
        if recorded is None:
            raise ShapeError("where() of two constants has no dtype in the graph recorder")
        inputs = [condition.name, recorded._operand(a), recorded._operand(b)]
        return GraphArray(recorded.builder, recorded.builder.add("Where", inputs), recorded.dtype)


def _is_number(value: Any, number: float) -> bool:
    """Whether an operand is this one number, such as the 1 of a temperature that is left alone."""
    return isinstance(value, int | float | np.number) and value == number


def _reduce(op_type: str, numpy_function: Any, x: Any, axis: int, keepdims: bool) -> Any:
    if not isinstance(x, GraphArray):
        return numpy_function(x, axis=axis, keepdims=keepdims)
    axes = GraphArray(x.builder, x.builder.constant([axis], np.int64), np.int64)
    return x.apply(op_type, axes, keepdims=int(keepdims))


def _binary(op_type: str, numpy_function: Any, a: Any, b: Any) -> Any:
    if isinstance(a, GraphArray):
        return a.apply(op_type, b)
    if isinstance(b, GraphArray):
        return b._reflected(op_type, a)
    return numpy_function(a, b)
