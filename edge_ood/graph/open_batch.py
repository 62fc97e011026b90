"""A graph that is fixed to a number of images made to take any number.

Exporters write the batch size of their example into constants: the shapes of reshapes, and tensors
that are joined to every image, such as a class token.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from edge_ood.graph.draft import Draft
from edge_ood.graph.shapes import PROBED_BATCHES, Facts, analyse, attribute

__all__ = ["open_batch"]


def open_batch(draft: Draft, batch: int) -> Facts:
    """Let what is fixed to a number of images take any number, node by node, in place.

    Args:
        draft: Its input has an open first size already.
        batch: The number of images that its nodes are fixed to.

    Returns:
        What is known about the tensors then.
    """
    types = {name: value.type for name, value in draft.inputs.items()}
    facts = analyse([], types, draft.weights, draft.opsets)
    nodes = []
    for node in draft.nodes:
        before = _opened(draft, facts, node, batch)
        nodes += [*before, node]
        facts.extend([*before, node], draft.weights.values(), draft.opsets)
    draft.nodes = nodes
    return facts


def _opened(draft: Draft, facts: Facts, node: NodeProto, batch: int) -> list[NodeProto]:
    """Change one node; returns the nodes that it then needs before it."""
    if node.op_type == "Reshape":
        _open_reshape(draft, facts, node, batch)
    if node.op_type == "Concat" and batch == 1 and attribute(node, "axis", 0):
        return _open_concat(draft, facts, node)
    return []


def _open_reshape(draft: Draft, facts: Facts, node: NodeProto, batch: int) -> None:
    """Write -1 for the axis that the batch goes to."""
    wanted, source = facts.value(node.input[1]), _sizes(facts, node.input[0], batch)
    if wanted is None or 0 in wanted or not wanted.size or source is None:
        return
    sizes = [int(size) for size in wanted.ravel()]
    if -1 in sizes:
        sizes[sizes.index(-1)] = math.prod(source.sizes) // -math.prod(sizes)
    axis = _batch_axis(source, sizes, batch)
    if axis is None:
        return
    sizes[axis] = -1
    node.input[1] = draft.add(f"{node.output[0]}/shape", np.array(sizes, np.int64))
    kept = [part for part in node.attribute if part.name != "allowzero"]
    del node.attribute[:]
    node.attribute.extend(kept)


@dataclass(frozen=True)
class _Source:
    """A tensor's sizes for the fixed batch, and the axis of which the batch is a part."""

    sizes: list[int]
    axis: int
    batch: int

    def starts(self) -> set[int]:
        """Elements on what may stand before the batch: its axis may have other parts, too."""
        before = math.prod(self.sizes[: self.axis])
        return {before, before * self.sizes[self.axis] // self.batch}

    def after(self) -> int:
        """Elements on the axes after that of the batch."""
        return math.prod(self.sizes[self.axis + 1 :])


def _sizes(facts: Facts, name: str, batch: int) -> _Source | None:
    """Sizes of a tensor that follows the batch; None if it does not, or they are unknown."""
    sizes, axes = [], []
    first, second = PROBED_BATCHES
    for axis, (low, high) in enumerate(facts.extents(name) or ()):
        if low is None or high is None:
            return None
        follows = low != high and low * second == high * first
        axes += [axis] if follows else []
        sizes.append(low // first * batch if follows else low)
    return _Source(sizes, axes[0], batch) if axes else None


def _batch_axis(source: _Source, sizes: list[int], batch: int) -> int | None:
    """The axis of a new shape that the batch goes to, with whatever it is merged with.

    For one image a shape alone does not tell: (17, 1, 64) becomes (17, 4, 16) with the batch in
    front of the heads, and back with the batch behind the tokens. An axis as long as the batch is
    the first choice; the last one holds features and is the last choice.
    """
    fitting = [axis for axis, size in enumerate(sizes) if size % batch == 0]
    starting = [axis for axis in fitting if math.prod(sizes[:axis]) in source.starts()]
    ending = [axis for axis in fitting if math.prod(sizes[axis + 1 :]) == source.after()]
    alone = [axis for axis in starting if sizes[axis] == batch]
    inner = [axis for axis in starting if axis < len(sizes) - 1]
    return next(iter([*alone, *inner, *ending, *starting]), None)


def _open_concat(draft: Draft, facts: Facts, node: NodeProto) -> list[NodeProto]:
    """Repeat a constant, such as a class token, for every image that it is joined to."""
    varying = [name for name in node.input if facts.value(name) is None]
    made = []
    for position, name in enumerate(node.input):
        value = facts.value(name)
        if value is None or not varying or value.shape[:1] != (1,):
            continue
        count, sizes, repeated = (f"{node.output[0]}/{word}" for word in ("count", "sizes", name))
        rest = draft.add(f"{sizes}/rest", np.array(value.shape[1:], np.int64))
        made += [
            helper.make_node("Shape", [varying[0]], [count], start=0, end=1),
            helper.make_node("Concat", [count, rest], [sizes], axis=0),
            helper.make_node("Expand", [name, sizes], [repeated]),
        ]
        node.input[position] = repeated
    return made
