"""A gradient with less to compute: nothing here changes what it is, only how fast it runs.

Each rule writes what is right for one operator alone. Next to each other their nodes leave room:
a tensor is repeated only to be multiplied, or a channel is scaled behind a convolution whose
weights could have done it.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.shapes import Facts

__all__ = ["Tail", "tidy"]

_ELEMENTWISE = frozenset(["Add", "Mul"])


@dataclass
class Tail:
    """The nodes of a gradient, behind a forward graph.

    Attributes:
        builder: Holds these nodes and their constants only.
        facts: About the tensors of both parts.
        output: Name of the gradient.
    """

    builder: GraphBuilder
    facts: Facts
    output: str
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def array(self, name: str) -> NDArray[Any] | None:
        """Values of a constant that this part brought in."""
        if not self._arrays:
            self._arrays = {t.name: numpy_helper.to_array(t) for t in self.builder.initializers}
        return self._arrays.get(name)

    def constant(self, array: NDArray[Any]) -> str:
        """Store one more constant."""
        name = self.builder.constant(array)
        self._arrays[name] = array
        return name

    def uses(self) -> Counter[str]:
        """How many times each tensor is read."""
        read = Counter(name for node in self.builder.nodes for name in node.input)
        return read + Counter([self.output])

    def rename(self, renamed: dict[str, str]) -> None:
        """Let every node read other tensors."""
        for node in self.builder.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
        self.output = renamed.get(self.output, self.output)


def tidy(tail: Tail) -> None:
    """Make a gradient faster, in place."""
    _skip_repetitions(tail)
    _scale_in_convolutions(tail)
    _widen_numbers(tail)
    _drop_unused(tail)


def _skip_repetitions(tail: Tail) -> None:
    """Let an elementwise operator do the broadcasting that an Expand before it does."""
    narrow = {n.output[0]: n.input[0] for n in tail.builder.nodes if n.op_type == "Expand"}
    for node in tail.builder.nodes:
        if node.op_type not in _ELEMENTWISE or len(node.input) != 2:
            continue
        for own, other in ((0, 1), (1, 0)):
            repeated, whole = node.input[own], node.input[other]
            same = tail.facts.extents(repeated) == tail.facts.extents(whole)
            if repeated in narrow and whole not in narrow and same:
                node.input[own] = narrow[repeated]


def _scale_in_convolutions(tail: Tail) -> None:
    """Multiply the weights of a convolution by what scales its output's channels later on."""
    makers = {node.output[0]: node for node in tail.builder.nodes}
    uses = tail.uses()
    renamed: dict[str, str] = {}
    for node in tail.builder.nodes:
        found = _channel_scale(tail, node)
        if found is None:
            continue
        name, scale = found
        name = renamed.get(name, name)
        conv = _convolution_behind(name, makers, uses)
        weights = None if conv is None else tail.array(conv.input[1])
        if conv is not None and weights is not None and scale.size in (1, len(weights)):
            factor = scale.reshape(-1, *[1] * (weights.ndim - 1))
            conv.input[1] = tail.constant((weights * factor).astype(weights.dtype))
            renamed[node.output[0]] = name
    tail.rename(renamed)


def _channel_scale(tail: Tail, node: NodeProto) -> tuple[str, NDArray[Any]] | None:
    """What a node multiplies, and by which numbers, if there is one for each channel or for all."""
    rank = len(tail.facts.extents(node.output[0]) or ())
    if node.op_type != "Mul":
        return None
    for own, other in ((0, 1), (1, 0)):
        array = tail.array(node.input[other])
        if array is not None and array.ndim <= rank:
            shape = (1,) * (rank - array.ndim) + array.shape
            if math.prod(shape) == math.prod(shape[1:2]):
                return node.input[own], array
    return None


def _convolution_behind(
    name: str, makers: dict[str, NodeProto], uses: Counter[str]
) -> NodeProto | None:
    """The convolution whose output reaches a tensor through products only, read by nobody else."""
    node = makers.get(name)
    if node is None or uses[name] != 1:
        return None
    if node.op_type == "Mul":
        behind = (_convolution_behind(source, makers, uses) for source in node.input)
        return next((conv for conv in behind if conv is not None), None)
    return node if node.op_type == "Conv" else None


def _widen_numbers(tail: Tail) -> None:
    """Give a single number the rank of what it is combined with.

    Onnxruntime takes 30 times as long to multiply (N, C, 1, 1) by a scalar as by (1, 1, 1, 1).
    """
    for node in tail.builder.nodes:
        if node.op_type not in _ELEMENTWISE or len(node.input) != 2:
            continue
        for own, other in ((0, 1), (1, 0)):
            array = tail.array(node.input[own])
            extents = tail.facts.extents(node.input[other])
            if array is not None and array.size == 1 and extents and array.ndim < len(extents):
                node.input[own] = tail.constant(array.reshape([1] * len(extents)))


def _drop_unused(tail: Tail) -> None:
    needed = {tail.output}
    kept = []
    for node in reversed(tail.builder.nodes):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    tail.builder.nodes[:] = kept[::-1]
