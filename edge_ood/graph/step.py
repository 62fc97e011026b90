"""The step of a perturbed image, as ONNX nodes."""

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_ood.graph.array import GraphBuilder

__all__ = ["append_step"]


def append_step(
    builder: GraphBuilder,
    x: str,
    gradient: str,
    step: NDArray[np.floating],
    *,
    alone: bool = False,
    flattest: int = 0,
) -> str:
    """Append `x - step * sign(gradient)`, with sign(0) = +1.

    Args:
        builder: Gets the new nodes.
        x: Name of the tensor to move, (N, C, H, W).
        gradient: Name of its gradient, of the same shape.
        step: Length of the step per channel, (1, C, 1, 1) or a scalar, in the units of `x`: behind
            a normalisation, eps in raw pixel units divided by the normalisation's std. Its element
            type is that of `x`.
        alone: Whether only one value of each image moves: that whose derivative is the largest in
            size, of equals the first in memory.
        flattest: If not 0, so many values of each image move: those whose derivatives are the
            smallest in size. There sign(0) = 0.

    Returns:
        Name of the moved tensor.
    """
    if not alone and not flattest:
        return builder.add("Sub", [x, _signed(builder, gradient, step)])
    rows = builder.add("Flatten", [gradient], axis=1)
    sizes = builder.add("Abs", [rows])
    if flattest:
        count = builder.constant([flattest], np.int64)
        _, places = builder.add_all("TopK", [sizes, count], 2, axis=1, largest=0, sorted=0)
        signs = builder.add("Sign", [gradient])
    else:
        places = builder.add("ArgMax", [sizes], axis=1, keepdims=1)
        signs = _signed(builder, gradient, np.ones((), step.dtype))
    chosen = _ones_at(builder, places, rows, step.dtype)
    lengths = builder.add(
        "Mul", [builder.add("Reshape", [chosen, _shape(builder, x)]), builder.constant(step)]
    )
    return builder.add("Sub", [x, builder.add("Mul", [lengths, signs])])


def _ones_at(builder: GraphBuilder, places: str, rows: str, dtype: np.dtype[np.floating]) -> str:
    """Rows like these, 1 in the places (N, k) and 0 elsewhere."""
    one, zero = (numpy_helper.from_array(np.array([value], dtype)) for value in (1, 0))
    ones = builder.add("ConstantOfShape", [_shape(builder, places)], value=one)
    zeros = builder.add("ConstantOfShape", [_shape(builder, rows)], value=zero)
    return builder.add("ScatterElements", [zeros, places, ones], axis=1)


def _shape(builder: GraphBuilder, name: str) -> str:
    return builder.add("Shape", [name])


def _signed(builder: GraphBuilder, gradient: str, size: NDArray[np.floating]) -> str:
    """So much where the gradient is zero or positive, and minus so much elsewhere."""
    rises = builder.add("GreaterOrEqual", [gradient, builder.constant(np.zeros((), size.dtype))])
    return builder.add("Where", [rises, builder.constant(size), builder.constant(-size)])
