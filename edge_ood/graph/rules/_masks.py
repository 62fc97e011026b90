"""0/1 masks that onnxruntime computes without leaving its blocked memory layout.

`Where` and `Greater` force a reordering of the whole tensor; a HardSigmoid steep enough to be a
step function does not. The slope is a power of two, so that `slope * (x - limit)` is exact.
"""

import numpy as np
from onnx import TensorProto

from edge_ood.graph.tape import Tape

_STEEP = 2.0**100
_STEEP_IN_FLOAT16 = 2.0**14


def is_above(tape: Tape, name: str, limit: float = 0.0, *, like: str | None = None) -> str:
    """1 where a tensor is greater than a number, 0 where it is smaller or equal.

    `like` names a forward tensor of the same element type where `name` is none itself.
    """
    return _step(tape, name, limit, 1.0, like or name)


def is_below(tape: Tape, name: str, limit: float, *, like: str | None = None) -> str:
    """1 where a tensor is smaller than a number, 0 where it is greater or equal."""
    return _step(tape, name, limit, -1.0, like or name)


def is_not_negative(tape: Tape, name: str, *, like: str) -> str:
    """1 where a tensor is 0 or greater, 0 where it is smaller; `like` as in `is_above`."""
    return tape.emit("HardSigmoid", name, alpha=_slope(tape, like), beta=1.0)


def _step(tape: Tape, name: str, limit: float, sign: float, like: str) -> str:
    narrow = _is_narrow(tape, like)
    slope = sign * _slope(tape, like)
    if float(np.float32(limit)) != limit or narrow:
        # An attribute is a float32: the limit would be rounded, and the tensor is not.
        name = tape.emit("Sub", name, tape.number(limit, like)) if limit else name
        limit = 0.0
    return tape.emit("HardSigmoid", name, alpha=slope, beta=-slope * limit)


def _slope(tape: Tape, like: str) -> float:
    return _STEEP_IN_FLOAT16 if _is_narrow(tape, like) else _STEEP


def _is_narrow(tape: Tape, like: str) -> bool:
    return bool(tape.facts.elem_type(like) == TensorProto.FLOAT16)
