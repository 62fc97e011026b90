"""A graph with what is known about its tensors before it runs."""

import math

from onnx import TensorProto

from edge_ood.errors import UnknownNameError
from edge_ood.graph.draft import Draft
from edge_ood.graph.shapes import PROBED_BATCHES, Extents, Facts

__all__ = ["FLOATS", "Graph", "shown_shape"]

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


class Graph:
    """A graph with what is known about its tensors."""

    def __init__(self, draft: Draft, facts: Facts) -> None:
        self.draft = draft
        self.facts = facts
        self.makers = {name: node for node in draft.nodes for name in node.output if name}

    def check_name(self, name: str) -> None:
        """Refuse the name of a tensor that does not exist."""
        if name not in self.makers:
            raise UnknownNameError("tensor", name, self.makers)

    def extents(self, name: str) -> Extents | None:
        """Sizes of a tensor at both probed batches."""
        return self.facts.extents(name)

    def width(self, name: str) -> int | None:
        """Numbers in an image's row, where a float tensor is (N, K), (N, K, 1, 1) or (N,)."""
        extents = self.extents(name)
        if self.facts.elem_type(name) not in FLOATS or not extents:
            return None
        sizes = [size for size, _ in extents[1:]]
        if extents[0] != PROBED_BATCHES or any(first != second for first, second in extents[1:]):
            return None
        if None in sizes or sum(size != 1 for size in sizes) > 1:
            return None
        return math.prod(size or 0 for size in sizes)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is the same for every image."""
        return self.facts.value(name) is not None

    def number(self, name: str) -> float | None:
        """The one value that all elements of a constant have; None if there is no such value."""
        value = self.facts.value(name)
        if value is None or not value.size or value.dtype.kind not in "fiu":
            return None
        first = float(value.flat[0])
        return first if (value == value.flat[0]).all() else None


def shown_shape(extents: Extents | None) -> str:
    """A shape for a message, such as `(N, 1000)`."""
    if extents is None:
        return "of unknown shape"
    sizes = ["N" if pair == PROBED_BATCHES else str(pair[0] or "?") for pair in extents]
    return f"({', '.join(sizes)})"
