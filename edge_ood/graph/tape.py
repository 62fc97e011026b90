"""What a gradient rule sees: facts about the forward graph, and a place to add nodes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.polyphase import Polyphase, add_polyphase, interleave
from edge_ood.graph.rearranged import Rearranged
from edge_ood.graph.shapes import Extents, Facts, Shape

__all__ = ["Tape"]

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


class Tape:
    """Forward facts, the gradients collected so far, and the builder that takes new nodes.

    Attributes:
        masked: Gradients that are 0 wherever the tensor that they belong to is 0.
        origins: How constants of the builder come about from the network's own weights.
    """

    def __init__(self, builder: GraphBuilder, facts: Facts, forward: Iterable[NodeProto]) -> None:
        self.builder = builder
        self.facts = facts
        self.masked: set[str] = set()
        self.origins: dict[str, Rearranged] = {}
        self._makers = {name: node.op_type for node in forward for name in node.output}
        self._parts: dict[str, list[str]] = {}
        self._polyphase: dict[str, list[Polyphase]] = {}

    def is_float(self, name: str) -> bool:
        """Whether a forward tensor can carry a gradient."""
        return self.facts.elem_type(name) in _FLOATS

    def dtype(self, name: str) -> np.dtype[Any]:
        """Element type of a forward tensor.

        Raises:
            ExportError: If it is unknown.
        """
        if not self.facts.elem_type(name):
            raise _unknown("element type", name)
        dtype: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(self.facts.elem_type(name))
        return dtype

    def extents(self, name: str) -> Extents:
        """Sizes of a forward tensor at both probed batches.

        Raises:
            ExportError: If not even the rank is known.
        """
        extents = self.facts.extents(name)
        if extents is None:
            raise _unknown("rank", name)
        return extents

    def shape(self, name: str) -> Shape:
        """Sizes of a forward tensor, None for an axis that is unknown or follows the batch.

        Raises:
            ExportError: If not even the rank is known.
        """
        return tuple(a if a == b else None for a, b in self.extents(name))

    def sizes(self, name: str, axes: range) -> list[int]:
        """Sizes of a forward tensor along axes where a rule needs numbers.

        Raises:
            ExportError: If one of them is unknown.
        """
        chosen = [self.shape(name)[axis] for axis in axes]
        known = [size for size in chosen if size is not None]
        if len(known) < len(chosen):
            raise ExportError(
                f"tensor {name!r} has sizes {self.shape(name)}, expected fixed sizes along axes"
                f" {list(axes)}",
                hint="export the model for one image size; only the batch may stay open",
            )
        return known

    def value(self, name: str) -> NDArray[Any] | None:
        """The array of a forward tensor that is the same for every input, else None."""
        return self.facts.value(name)

    def constant_value(self, node: NodeProto, index: int) -> NDArray[Any]:
        """The array of an input that must not depend on the images.

        Raises:
            ExportError: If it does.
        """
        value = self.value(node.input[index])
        if value is None:
            raise ExportError(
                f"input {index} of {node.op_type} node {node.name!r} is computed from the images,"
                " expected a constant",
                hint="export the model with fixed weights and one image size",
            )
        return value

    def optional_value(self, node: NodeProto, index: int) -> NDArray[Any] | None:
        """The constant array of an optional input, None where the node does without it."""
        if index >= len(node.input) or not node.input[index]:
            return None
        return self.constant_value(node, index)

    def maker(self, name: str) -> str | None:
        """Operator that makes a forward tensor; None for one that comes from outside."""
        return self._makers.get(name)

    def gradient(self, node: NodeProto) -> str:
        """Gradient of the node's first output."""
        gradient = self.collected(node.output[0])
        assert gradient is not None, f"{node.op_type} was visited without a gradient"
        return gradient

    def collected(self, name: str) -> str | None:
        """Sum of all gradients collected for a tensor, None if there are none."""
        parts = self._parts.setdefault(name, [])
        for split in self._polyphase.pop(name, []):
            parts.append(interleave(self.builder, split))
        while len(parts) > 1:
            parts[:2] = [self.emit("Add", parts[0], parts[1])]
        return parts[0] if parts else None

    def has_gradient(self, name: str) -> bool:
        """Whether anything was collected for a tensor."""
        return bool(self._parts.get(name) or self._polyphase.get(name))

    def collect(self, name: str, gradient: str | Polyphase) -> None:
        """Add one contribution to the gradient of a tensor."""
        if isinstance(gradient, str):
            self._parts.setdefault(name, []).append(gradient)
            return
        others = self._polyphase.setdefault(name, [])
        for position, other in enumerate(others):
            if other.strides == gradient.strides:
                others[position] = add_polyphase(self.builder, other, gradient)
                return
        others.append(gradient)

    def emit(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        return self.builder.add(op_type, inputs, **attributes)

    def number(self, value: float, like: str) -> str:
        """A scalar constant of a forward tensor's element type."""
        return self.builder.constant(value, self.dtype(like))

    def per_channel(self, value: float, like: str) -> str:
        """A constant that multiplies a planar forward tensor by one number.

        Written once for each channel, onnxruntime does it in its blocked memory layout.
        """
        shape = self.facts.shape(like)
        if shape is None or len(shape) != 4 or shape[1] is None:
            return self.number(value, like)
        return self.builder.constant(np.full((shape[1], 1, 1), value, self.dtype(like)))

    def integers(self, values: Any) -> str:
        """An int64 constant, for shapes, axes and indices."""
        return self.builder.constant(values, np.int64)

    def weights(self, array: NDArray[Any]) -> str:
        """A constant array, in its own element type."""
        return self.builder.constant(array)

    def rearranged(self, weights: NDArray[Any], how: Rearranged) -> str:
        """A constant made of weights; the network's own have a name."""
        name = self.builder.constant(how.of(weights))
        if how.source:
            self.origins[name] = how
        return name


def _unknown(what: str, name: str) -> ExportError:
    return ExportError(
        f"the {what} of tensor {name!r} is unknown, so no gradient passes through it",
        hint="export the model with fixed sizes and standard ONNX operators; the batch may be open",
    )
