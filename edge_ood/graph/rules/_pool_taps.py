"""The gradient of max-pooling tap by tap, without the positions of the maxima.

Finding those positions takes onnxruntime fifteen times as long as the pooling itself, and putting
gradients back at computed positions leaves its blocked memory layout. Here each tap of the window
takes the gradient where its element equals the maximum and passes on what is left; only depthwise
convolutions with a single 1, products and steps are needed. Behind a ReLU, whose gradient is 0
where the maximum is 0, padding with zeros never wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from onnx import NodeProto, TensorProto

from edge_ood.graph.polyphase import Polyphase, interleave
from edge_ood.graph.rules._masks import is_not_negative
from edge_ood.graph.rules._windows import Window, read_window
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape

_BLOCK = 8
"""Channels come in multiples of it in the blocked layout; others are slow to convolve apart."""


def spread_to_maxima(tape: Tape, node: NodeProto, gradient: str) -> str | None:
    """Gradient by a pooling's input, of equals to the first; None where another form is better.

    Args:
        tape: Gets the nodes.
        node: A MaxPool behind a ReLU.
        gradient: By the pooling's output, 0 where that output is 0.
    """
    taps = _taps(tape, node)
    if taps is None:
        return None
    rows, columns = taps
    x, y = node.input[0], node.output[0]
    channels, height, width = tape.sizes(x, range(1, 4))
    everything = _Selection(), _Selection()
    parts: dict[tuple[int, int], str] = {}
    negative = _select(tape, y, everything, channels, factor=-1.0)
    phases: dict[tuple[int, int], str] = {}
    for place, (row, column) in enumerate(product(rows, columns), start=1):
        phase = row.phase, column.phase
        taken = gradient
        if place < len(rows) * len(columns):
            if phase not in parts:
                parts[phase] = _select(tape, x, (row.split, column.split), channels)
            below = _select(tape, parts[phase], (row.read, column.read), channels, plus=negative)
            is_largest = is_not_negative(tape, below, like=x)
            taken = tape.emit("Mul", gradient, is_largest)
            gradient = _select(tape, taken, everything, channels, factor=-1.0, plus=gradient)
        phases[phase] = _select(
            tape, taken, (row.write, column.write), channels, plus=phases.get(phase)
        )
    strides = rows[0].stride, columns[0].stride
    whole = Polyphase(TensorProto.FLOAT, (channels, height, width), strides, phases)
    return interleave(tape.builder, whole)


@dataclass(frozen=True)
class _Selection:
    """Along one axis, element `stride * i + offset` for each i; what lies outside is 0.

    Attributes:
        start: Zeros before the first element.
        end: Zeros after the last.
        kernel: Taps of the convolution; more than `one` needs, where outputs have to be cut off.
        one: The tap that is not 0.
    """

    start: int = 0
    end: int = 0
    kernel: int = 1
    one: int = 0
    stride: int = 1

    @classmethod
    def of(cls, offset: int, stride: int, source: int, target: int) -> "_Selection":
        """Selection of `target` elements from `source`."""
        start, one = max(0, -offset), max(0, offset)
        unread = source + start - (target - 1) * stride - one - 1
        cut_off = max(0, unread - stride + 1)
        return cls(start, max(0, -unread), one + 1 + cut_off, one, stride)


@dataclass(frozen=True)
class _Tap:
    """One element of the window along one axis.

    Attributes:
        split: From the pooling's input to the elements of `phase`.
        read: From these elements to those under this tap, by window.
        write: From a tensor by window to the elements of `phase`.
    """

    split: _Selection
    read: _Selection
    write: _Selection
    phase: int
    stride: int


def _taps(tape: Tape, node: NodeProto) -> tuple[list[_Tap], list[_Tap]] | None:
    x, y = node.input[0], node.output[0]
    kernel = attribute(node, "kernel_shape")
    if len(kernel) != 2 or tape.facts.elem_type(x) != TensorProto.FLOAT:
        return None
    window = read_window(tape, node, kernel)
    (channels,) = tape.sizes(x, range(1, 2))
    if channels % _BLOCK or set(window.dilations) != {1} or min(window.strides) < 2:
        return None
    sizes = zip(tape.sizes(x, range(2, 4)), tape.sizes(y, range(2, 4)), strict=True)
    rows, columns = (_axis_taps(window, axis, *pair) for axis, pair in enumerate(sizes))
    return rows, columns


def _axis_taps(window: Window, axis: int, size: int, windows: int) -> list[_Tap]:
    """All taps along one axis of a pooling's input."""
    stride, taps = window.strides[axis], []
    for offset in range(-window.starts[axis], window.kernel[axis] - window.starts[axis]):
        shift, phase = divmod(offset, stride)
        elements = -(-size // stride)
        split = _Selection.of(phase, stride, size, elements)
        read = _Selection.of(shift, 1, elements, windows)
        write = _Selection.of(-shift, 1, windows, elements)
        taps.append(_Tap(split, read, write, phase, stride))
    return taps


def _select(
    tape: Tape,
    name: str,
    axes: Sequence[_Selection],
    channels: int,
    *,
    factor: float = 1.0,
    plus: str | None = None,
) -> str:
    """A depthwise convolution with a single weight, onto which another tensor may be added."""
    if any(axis != _Selection() for axis in axes) or factor != 1.0:
        taps = np.zeros((channels, 1, *(axis.kernel for axis in axes)), np.float32)
        taps[:, :, axes[0].one, axes[1].one] = factor
        name = tape.emit(
            "Conv",
            name,
            tape.weights(taps),
            group=channels,
            kernel_shape=taps.shape[2:],
            strides=[axis.stride for axis in axes],
            pads=[axis.start for axis in axes] + [axis.end for axis in axes],
        )
    return name if plus is None else tape.emit("Add", name, plus)
