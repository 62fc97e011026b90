"""The gradient of a convolution by its input, in the form that runs fastest.

With stride 1 it is a convolution with flipped weights whose input and output channels change
places. With a larger stride each phase of the input (its even rows and odd columns, say) is a
convolution of its own with every other tap; the phases stay apart until somebody needs the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge_ood.graph.polyphase import Polyphase
from edge_ood.graph.rearranged import Rearranged
from edge_ood.graph.rules._windows import Window
from edge_ood.graph.tape import Tape

_FEWEST_CHANNELS_FOR_POLYPHASE = 8
"""Below it, onnxruntime's blocked convolutions would pad most of what they compute."""


@dataclass(frozen=True)
class Kernel:
    """Weights of a convolution (out, in / group, ...) and the geometry that they are used with.

    Their name is empty where they are not the network's.
    """

    weights: NDArray[np.floating]
    group: int
    window: Window
    name: str = ""


def pull_back(tape: Tape, gradient: str, x: str, kernel: Kernel) -> str | Polyphase:
    """Gradient by the input `x` of a convolution, given that by its output."""
    window = kernel.window
    if set(window.strides) == {1} and _fits(window):
        return _convolve_flipped(tape, gradient, kernel)
    split = _convolve_polyphase(tape, gradient, x, kernel) if _suits_polyphase(kernel) else None
    return split or _convolve_transposed(tape, gradient, x, kernel)


def _fits(window: Window) -> bool:
    """Whether no pad is wider than the kernel reaches."""
    pads = zip(window.reach * 2, window.starts + window.ends, strict=True)
    return all(reach > pad for reach, pad in pads)


def _convolve_flipped(tape: Tape, gradient: str, kernel: Kernel) -> str:
    window = kernel.window
    pads = [r - 1 - p for r, p in zip(window.reach * 2, window.starts + window.ends, strict=True)]
    backwards = {axis: range(size)[::-1] for axis, size in _taps(kernel).items() if size > 1}
    return tape.emit(
        "Conv",
        gradient,
        tape.rearranged(kernel.weights, _exchanged(kernel, backwards)),
        dilations=window.dilations,
        group=kernel.group,
        kernel_shape=window.kernel,
        pads=pads,
    )


def _taps(kernel: Kernel) -> dict[int, int]:
    """Number of taps by axis."""
    return {axis + 2: size for axis, size in enumerate(kernel.window.kernel)}


def _exchanged(kernel: Kernel, picked: Mapping[int, Sequence[int]]) -> Rearranged:
    """Weights (in, out / group, ...) with some taps, from weights (out, in / group, ...)."""
    shape = kernel.weights.shape
    return Rearranged(kernel.name, shape, kernel.group, exchanged=True, picked=picked)


def _suits_polyphase(kernel: Kernel) -> bool:
    window = kernel.window
    channels = kernel.weights.shape[1] * kernel.group
    is_plane = len(window.kernel) == 2 and set(window.dilations) == {1}
    return is_plane and channels >= _FEWEST_CHANNELS_FOR_POLYPHASE


def _convolve_polyphase(tape: Tape, gradient: str, x: str, kernel: Kernel) -> Polyphase | None:
    """One convolution per phase; None where windows that nobody needs would have to be cut off."""
    window, all_taps = kernel.window, _taps(kernel)
    strides = window.strides[0], window.strides[1]
    height, width = tape.sizes(x, range(2, 4))
    down = [_PhaseAxis.of(window, 0, phase, height) for phase in range(strides[0])]
    across = [_PhaseAxis.of(window, 1, phase, width) for phase in range(strides[1])]
    if min(pad for axis in (*down, *across) for pad in (axis.start, axis.end)) < 0:
        return None
    tensors = {}
    for (a, rows), (b, columns) in product(enumerate(down), enumerate(across)):
        if rows.taps and columns.taps:
            taps = {2: rows.taps, 3: columns.taps}
            picked = {at: kept for at, kept in taps.items() if kept != [*range(all_taps[at])]}
            tensors[a, b] = tape.emit(
                "Conv",
                gradient,
                tape.rearranged(kernel.weights, _exchanged(kernel, picked)),
                group=kernel.group,
                kernel_shape=[len(rows.taps), len(columns.taps)],
                pads=[rows.start, columns.start, rows.end, columns.end],
            )
    sizes = (kernel.weights.shape[1] * kernel.group, height, width)
    return Polyphase(tape.facts.elem_type(x), sizes, strides, tensors)


@dataclass(frozen=True)
class _PhaseAxis:
    """What one phase takes along one axis: taps in the order of use, and pads of the gradient."""

    taps: list[int]
    start: int
    end: int

    @classmethod
    def of(cls, window: Window, axis: int, phase: int, size: int) -> "_PhaseAxis":
        stride, kernel, pad = (v[axis] for v in (window.strides, window.kernel, window.starts))
        # Element stride * q + phase lies under tap t of window q + (phase + pad - t) / stride.
        taps = [t for t in range(kernel) if (phase + pad - t) % stride == 0][::-1]
        if not taps:
            return cls([], 0, 0)
        first, last = (phase + pad - taps[0]) // stride, (phase + pad - taps[-1]) // stride
        windows = (size + pad + window.ends[axis] - window.reach[axis]) // stride + 1
        outputs = -(-size // stride)
        return cls(taps, -first, last + outputs - windows)


def _convolve_transposed(tape: Tape, gradient: str, x: str, kernel: Kernel) -> str:
    window = kernel.window
    sizes = tape.sizes(x, range(2, 2 + len(window.kernel)))
    padded = [n + a + b for n, a, b in zip(sizes, window.starts, window.ends, strict=True)]
    # Elements behind the last window belong to none.
    unused = [(p - r) % s for p, r, s in zip(padded, window.reach, window.strides, strict=True)]
    return tape.emit(
        "ConvTranspose",
        gradient,
        tape.rearranged(kernel.weights, Rearranged(kernel.name, kernel.weights.shape)),
        dilations=window.dilations,
        group=kernel.group,
        kernel_shape=window.kernel,
        output_padding=unused,
        pads=window.starts + window.ends,
        strides=window.strides,
    )
