"""Operators of onnx's reference evaluator that are exact here, or fast: windows as matrix products.

Each is NumPy in the type of its input. Forms that networks hardly ever have go to onnx's own.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_average_pool import AveragePool_19
from onnx.reference.ops.op_conv import Conv as OnnxConv
from onnx.reference.ops.op_conv_transpose import ConvTranspose as OnnxConvTranspose
from onnx.reference.ops.op_max_pool import MaxPool as OnnxMaxPool

__all__ = ["OPERATORS"]

_GELU_CUBIC = 0.044715

Array = NDArray[Any]


class Erf(OpRun):  # type: ignore[misc]  # onnx is not typed
    """The error function in the type of its input; onnx's own gives float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (_erf(x),)


class Gelu(OpRun):  # type: ignore[misc]  # as above
    """GELU in the type of its input; onnx's own is composed of the error function in float32."""

    op_domain = ""

    def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
        if approximate == "tanh":
            inner = np.tanh(math.sqrt(2 / math.pi) * (x + _GELU_CUBIC * x**3))
        else:
            inner = _erf(x * math.sqrt(0.5))
        return (x * (1 + inner) / 2,)


class Conv(OnnxConv):  # type: ignore[misc]  # as above
    """Convolution as products of matrices; one of each channel by itself as a sum over taps."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> tuple[Array]:
        if not _is_plain(given):
            result: tuple[Array] = super()._run(x, w, b, **given)
            return result
        dims = w.ndim - 2
        pads, strides, dilations = _geometry(given, dims)
        padded = _padded(x, pads, 0)
        sizes = _output_sizes(padded.shape[2:], w.shape[2:], strides, dilations)
        group = given.get("group") or 1
        if w.shape[1] == 1 and w.shape[0] == group:
            out = np.zeros((len(x), group, *sizes), x.dtype)
            for tap, part in _taps(padded, w.shape[2:], sizes, strides, dilations):
                out += part * w[:, 0][_all_of(tap)].reshape(-1, *[1] * dims)
        else:
            parts = [p for _, p in _taps(padded, w.shape[2:], sizes, strides, dilations)]
            columns = np.stack(parts, axis=2) if len(parts) > 1 else parts[0]
            columns = columns.reshape(len(x), group, -1, math.prod(sizes))
            rows = w.reshape(group, len(w) // group, -1)
            out = (rows @ columns).reshape(len(x), len(w), *sizes)
        return (out if b is None else out + b.reshape(-1, *[1] * dims),)


class ConvTranspose(OnnxConvTranspose):  # type: ignore[misc]  # as above
    """The transposed convolution: each tap adds a product of matrices to what it reaches."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> tuple[Array]:
        if not _is_plain(given) or given.get("output_shape"):
            result: tuple[Array] = super()._run(x, w, b, **given)
            return result
        dims = w.ndim - 2
        pads, strides, dilations = _geometry(given, dims)
        group = given.get("group") or 1
        extra = given.get("output_padding") or [0] * dims
        geometry = zip(x.shape[2:], w.shape[2:], strides, dilations, extra, strict=True)
        full = [(n - 1) * s + (k - 1) * d + 1 + e for n, k, s, d, e in geometry]
        out = np.zeros((len(x), group * w.shape[1], *full), x.dtype)
        flat = x.reshape(len(x), group, -1, math.prod(x.shape[2:]))
        rows = w.reshape(group, -1, *w.shape[1:]).swapaxes(1, 2)
        for tap, reached in _taps(out, w.shape[2:], x.shape[2:], strides, dilations):
            at_tap: tuple[Any, ...] = (..., *tap)
            reached += (rows[at_tap] @ flat).reshape(reached.shape)
        kept = [slice(p, n - q) for p, q, n in zip(pads[:dims], pads[dims:], full, strict=True)]
        out = out[(slice(None), slice(None), *kept)]
        return (out if b is None else out + b.reshape(-1, *[1] * dims),)


class MaxPool(OnnxMaxPool):  # type: ignore[misc]  # as above
    """The largest of each window, without its place."""

    op_domain = ""

    def _run(self, x: Array, **given: Any) -> tuple[Array, ...]:
        if not _is_plain(given) or given.get("ceil_mode") or len(self.onnx_node.output) > 1:
            result: tuple[Array, ...] = super()._run(x, **given)
            return result
        kernel = given["kernel_shape"]
        pads, strides, dilations = _geometry(given, len(kernel))
        padded = _padded(x, pads, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        sizes = _output_sizes(padded.shape[2:], kernel, strides, dilations)
        parts = (part for _, part in _taps(padded, kernel, sizes, strides, dilations))
        out = np.array(next(parts))
        for part in parts:
            np.maximum(out, part, out=out)
        return (out,)


class AveragePool(AveragePool_19):  # type: ignore[misc]  # as above
    """The mean of each window, over its pads or not."""

    op_domain = ""

    def _run(self, x: Array, **given: Any) -> tuple[Array]:
        if not _is_plain(given) or given.get("ceil_mode"):
            result: tuple[Array] = super()._run(x, **given)
            return result
        kernel = given["kernel_shape"]
        pads, strides, dilations = _geometry(given, len(kernel))
        padded = _padded(x, pads, 0)
        sizes = _output_sizes(padded.shape[2:], kernel, strides, dilations)
        total = _summed(_taps(padded, kernel, sizes, strides, dilations))
        if given.get("count_include_pad"):
            return (total / x.dtype.type(math.prod(kernel)),)
        inside = _padded(np.ones((1, 1, *x.shape[2:]), x.dtype), pads, 0)
        return (total / _summed(_taps(inside, kernel, sizes, strides, dilations)),)


OPERATORS = (Erf, Gelu, Conv, ConvTranspose, MaxPool, AveragePool)
"""What `onnx.reference.ReferenceEvaluator` takes as `new_ops`."""


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[x.dtype])(x))


def _all_of(tap: tuple[int, ...]) -> tuple[Any, ...]:
    """What takes one place of every kernel (C, ...)."""
    return (slice(None), *tap)


def _summed(parts: Iterator[tuple[tuple[int, ...], Array]]) -> Array:
    total = np.array(next(parts)[1])
    for _, part in parts:
        total += part
    return total


def _is_plain(given: dict[str, Any]) -> bool:
    """Whether the pads are given as numbers."""
    return (given.get("auto_pad") or "NOTSET") == "NOTSET"


def _geometry(given: dict[str, Any], dims: int) -> tuple[Sequence[int], ...]:
    """Pads, strides and dilations, their defaults filled in."""
    ones = [1] * dims
    return (
        given.get("pads") or [0] * 2 * dims,
        given.get("strides") or ones,
        given.get("dilations") or ones,
    )


def _padded(x: Array, pads: Sequence[int], value: float) -> Array:
    if not any(pads):
        return x
    dims = x.ndim - 2
    around = [(0, 0), (0, 0), *zip(pads[:dims], pads[dims:], strict=True)]
    return np.pad(x, around, constant_values=value)


def _output_sizes(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    parts = zip(sizes, kernel, strides, dilations, strict=True)
    return [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in parts]


def _taps(
    padded: Array,
    kernel: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Each place in the kernel, and a view (N, C, ...) of what lies under it in every window."""
    for tap in product(*map(range, kernel)):
        parts = zip(tap, sizes, strides, dilations, strict=True)
        under = [slice(t * d, t * d + (n - 1) * s + 1, s) for t, n, s, d in parts]
        yield tap, padded[(slice(None), slice(None), *under)]
