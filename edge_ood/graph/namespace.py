"""An array namespace that records ONNX nodes instead of computing.

`GraphNamespace` offers the functions of the Python array API that score heads use. Called on a
`GraphArray` they append a node of opset 18 to a `GraphBuilder`; called on NumPy arrays only they
compute, so that expressions of fitted statistics become constants of the graph.
"""

from typing import Any

import numpy as np

from edge_ood.errors import InputError, ShapeError
from edge_ood.graph.array import GraphArray, GraphOrder

__all__ = ["GraphNamespace"]


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

    def minimum(self, a: Any, b: Any) -> Any:
        """Elementwise smaller of two."""
        return _binary("Min", np.minimum, a, b)

    def maximum(self, a: Any, b: Any) -> Any:
        """Elementwise larger of two."""
        return _binary("Max", np.maximum, a, b)

    def sign(self, x: Any) -> Any:
        """Elementwise -1, 0 or 1."""
        return x.apply("Sign") if isinstance(x, GraphArray) else np.sign(x)

    def sort(self, x: Any, *, axis: int) -> Any:
        """Ascending rows, of which only some first columns may be read."""
        _check_rows(axis)
        return GraphOrder(x) if isinstance(x, GraphArray) else np.sort(x, axis=axis)

    def argsort(self, x: Any, *, axis: int) -> Any:
        """Where the values of ascending rows stood, as `sort`."""
        _check_rows(axis)
        if isinstance(x, GraphArray):
            return GraphOrder(x, of_indices=True)
        return np.argsort(x, axis=axis)

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

    def expand_dims(self, x: Any, *, axis: int) -> Any:
        """A new axis of size 1."""
        if isinstance(x, GraphArray):
            position = x.builder.constant([axis], np.int64)
            return x.apply("Unsqueeze", GraphArray(x.builder, position, np.int64))
        return np.expand_dims(x, axis)

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
        inputs = [condition.name, recorded.operand(a), recorded.operand(b)]
        return GraphArray(recorded.builder, recorded.builder.add("Where", inputs), recorded.dtype)


def _check_rows(axis: int) -> None:
    if axis != 1:
        raise InputError(f"the graph recorder sorts along axis 1, got axis {axis}")


def _reduce(op_type: str, numpy_function: Any, x: Any, axis: int, keepdims: bool) -> Any:
    if not isinstance(x, GraphArray):
        return numpy_function(x, axis=axis, keepdims=keepdims)
    axes = GraphArray(x.builder, x.builder.constant([axis], np.int64), np.int64)
    return x.apply(op_type, axes, keepdims=int(keepdims))


def _binary(op_type: str, numpy_function: Any, a: Any, b: Any) -> Any:
    if isinstance(a, GraphArray):
        return a.apply(op_type, b)
    if isinstance(b, GraphArray):
        return b.reflected(op_type, a)
    return numpy_function(a, b)
