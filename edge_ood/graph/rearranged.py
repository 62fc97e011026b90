"""Weights of a gradient that are those of the network in another order: stored once.

A gradient convolves with flipped, transposed and sometimes scaled weights. Written down, they would
double the file. Nodes that make them of the network's own weights cost nothing when it runs:
onnxruntime computes whatever does not depend on an image once, when it loads the file.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.graph.array import GraphBuilder

__all__ = ["Rearranged", "append_rearranged"]

_FEWEST = 4096
"""Elements below which the nodes would not be worth it."""


@dataclass(frozen=True)
class Rearranged:
    """How an array comes about from weights (O, I / group, ...) of a convolution.

    Attributes:
        source: Name of these weights in the network.
        shape: Of these weights.
        group: Of the convolution.
        exchanged: Whether outputs and inputs change places: (I, O / group, ...).
        picked: By axis, positions that are taken, in this order.
        factors: Arrays by which the result is multiplied, one after the other.
    """

    source: str
    shape: tuple[int, ...]
    group: int = 1
    exchanged: bool = False
    picked: Mapping[int, Sequence[int]] = field(default_factory=dict)
    factors: tuple[NDArray[Any], ...] = ()

    def scaled(self, factor: NDArray[Any]) -> "Rearranged":
        """The same, multiplied by one array more."""
        return replace(self, factors=(*self.factors, factor))

    def exchange(self) -> tuple[list[int], list[int]]:
        """Sizes by group, of which the second and third change places, and those after that."""
        outer, inner, *taps = self.shape
        per_group = outer // self.group
        return [self.group, per_group, inner, *taps], [self.group * inner, per_group, *taps]

    def of(self, weights: NDArray[Any]) -> NDArray[Any]:
        """The array, of the weights that `source` names."""
        found = weights
        if self.exchanged:
            grouped, exchanged = self.exchange()
            found = weights.reshape(grouped).swapaxes(1, 2).reshape(exchanged)
        for axis, positions in self.picked.items():
            found = found.take(positions, axis=axis)
        for factor in self.factors:
            found = (found * factor).astype(weights.dtype)
        return found


def append_rearranged(builder: GraphBuilder, array: NDArray[Any], how: Rearranged) -> str:
    """Append the nodes that make an array of weights that the graph has already.

    Args:
        builder: Has a tensor `how.source`; gets nodes, unless they are there already.
        array: What they have to make.
        how: From what.

    Returns:
        Name of the array; of a constant where it is small.
    """
    if array.size < _FEWEST:
        return builder.constant(array)
    digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    result = f"{how.source}/rearranged_{digest}"
    if any(result in node.output for node in builder.nodes):
        return result
    current = how.source
    if how.exchanged:
        current = _append_exchange(builder, how)
    for axis, positions in how.picked.items():
        indices = builder.constant(list(positions), np.int64)
        current = builder.add("Gather", [current, indices], axis=axis)
    for factor in how.factors:
        current = builder.add("Mul", [current, builder.constant(factor, array.dtype)])
    if current == how.source:
        return current
    builder.call(current, result)
    return result


def _append_exchange(builder: GraphBuilder, how: Rearranged) -> str:
    rank = len(how.shape)
    if how.group == 1:
        return builder.add("Transpose", [how.source], perm=[1, 0, *range(2, rank)])
    grouped, exchanged = how.exchange()
    if grouped[1:3] == [1, 1]:
        return how.source
    parts = builder.add("Reshape", [how.source, builder.constant(grouped, np.int64)])
    turned = builder.add("Transpose", [parts], perm=[0, 2, 1, *range(3, rank + 1)])
    return builder.add("Reshape", [turned, builder.constant(exchanged, np.int64)])
