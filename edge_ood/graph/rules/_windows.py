"""Sliding windows: kernel, strides, pads and dilations of a convolution or pooling."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import NodeProto

from edge_ood.graph.shapes import attribute
from edge_ood.graph.tape import Tape


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window, one entry per spatial axis.

    Attributes:
        starts: Positions of padding before the first element.
        ends: Positions of padding after the last element, as the node declares them.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """Positions from the first to the last element under the kernel, both included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def read_window(tape: Tape, node: NodeProto, kernel: Sequence[int]) -> Window:
    """Geometry of a node with a kernel of known size; `auto_pad` becomes pads."""
    rank = len(kernel)
    strides = tuple(attribute(node, "strides", [1] * rank))
    dilations = tuple(attribute(node, "dilations", [1] * rank))
    unpadded = Window(tuple(kernel), strides, dilations, (0,) * rank, (0,) * rank)
    auto_pad = attribute(node, "auto_pad", b"NOTSET").decode()
    if auto_pad.startswith("SAME"):
        sizes = tape.sizes(node.input[0], range(2, 2 + rank))
        starts, ends = _same_pads(unpadded, sizes, upper=auto_pad == "SAME_UPPER")
    else:
        pads = attribute(node, "pads", [0] * 2 * rank)
        starts, ends = pads[:rank], pads[rank:]
    return Window(tuple(kernel), strides, dilations, tuple(starts), tuple(ends))


def _same_pads(window: Window, sizes: Sequence[int], *, upper: bool) -> tuple[list[int], list[int]]:
    """Pads that give ceil(size / stride) outputs; the odd one stands at the end if `upper`."""
    totals = [
        max((-(-size // stride) - 1) * stride + reach - size, 0)
        for size, stride, reach in zip(sizes, window.strides, window.reach, strict=True)
    ]
    smaller = [total // 2 for total in totals]
    larger = [total - total // 2 for total in totals]
    return (smaller, larger) if upper else (larger, smaller)
