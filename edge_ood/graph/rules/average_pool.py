"""Mean over a sliding window."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from edge_ood.graph.polyphase import Polyphase
from edge_ood.graph.rules import Rule
from edge_ood.graph.rules._transposed_conv import Kernel, pull_back
from edge_ood.graph.rules._windows import Window, read_window
from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


def average_pool(tape: Tape, node: NodeProto, index: int) -> str | Polyphase:
    """Each window's gradient over its number of elements, added to all of them.

    That is the gradient of a depthwise convolution with ones, after the division.
    """
    x = node.input[0]
    kernel = attribute(node, "kernel_shape")
    channels, *sizes = tape.sizes(x, range(1, 2 + len(kernel)))
    window = _with_all_windows(tape, node, read_window(tape, node, kernel))
    shares = 1 / _window_sizes(node, window, sizes)
    gradient = tape.emit(
        "Mul", tape.gradient(node), tape.weights(shares[None, None].astype(tape.dtype(x)))
    )
    ones = np.ones((channels, 1, *kernel), tape.dtype(x))
    return pull_back(tape, gradient, x, Kernel(ones, channels, window))


def _with_all_windows(tape: Tape, node: NodeProto, window: Window) -> Window:
    """The window with as much padding after the end as its last position needs (`ceil_mode`)."""
    x, y = node.input[0], node.output[0]
    spatial = range(2, 2 + len(window.kernel))
    sizes, counts = tape.sizes(x, spatial), tape.sizes(y, spatial)
    needed = [
        (count - 1) * stride + reach - size - start
        for count, stride, reach, size, start in zip(
            counts, window.strides, window.reach, sizes, window.starts, strict=True
        )
    ]
    ends = tuple(max(pair) for pair in zip(needed, window.ends, strict=True))
    return Window(window.kernel, window.strides, window.dilations, window.starts, ends)


def _window_sizes(node: NodeProto, window: Window, sizes: list[int]) -> NDArray[np.float64]:
    """How many elements each window averages."""
    if attribute(node, "count_include_pad", 0):
        declared = attribute(node, "pads", [0] * 2 * len(sizes))[len(sizes) :]
    else:
        declared = None
    counts = np.ones(())
    for axis, size in enumerate(sizes):
        start = window.starts[axis]
        inside = np.zeros(start + size + window.ends[axis])
        if declared is None:
            inside[start : start + size] = 1
        else:
            inside[: start + size + declared[axis]] = 1
        taps = window.dilations[axis] * np.arange(window.kernel[axis])
        firsts = np.arange(0, len(inside) - window.reach[axis] + 1, window.strides[axis])
        counts = np.multiply.outer(counts, inside[firsts[:, None] + taps].sum(axis=1))
    return counts


RULE = Rule(("AveragePool",), average_pool)
