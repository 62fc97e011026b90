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

    Returns:
        Name of the moved tensor.
    """
    if alone:
        signs = _sign_alone(builder, gradient, step.dtype)
        return builder.add("Sub", [x, builder.add("Mul", [signs, builder.constant(step)])])
    return builder.add("Sub", [x, _signed(builder, gradient, step)])


def _sign_alone(builder: GraphBuilder, gradient: str, dtype: np.dtype[np.floating]) -> str:
    """The sign of the derivative of the largest size in each image, and zero elsewhere."""
    rows = builder.add("Flatten", [gradient], axis=1)
    place = builder.add("ArgMax", [builder.add("Abs", [rows])], axis=1, keepdims=1)
    derivative = builder.add("GatherElements", [rows, place], axis=1)
    zero = numpy_helper.from_array(np.zeros(1, dtype))
    still = builder.add("ConstantOfShape", [builder.add("Shape", [rows])], value=zero)
    sign = _signed(builder, derivative, np.ones((), dtype))
    signs = builder.add("ScatterElements", [still, place, sign], axis=1)
    return builder.add("Reshape", [signs, builder.add("Shape", [gradient])])


def _signed(builder: GraphBuilder, gradient: str, size: NDArray[np.floating]) -> str:
    """So much where the gradient is zero or positive, and minus so much elsewhere."""
    rises = builder.add("GreaterOrEqual", [gradient, builder.constant(np.zeros((), size.dtype))])
    return builder.add("Where", [rises, builder.constant(size), builder.constant(-size)])
