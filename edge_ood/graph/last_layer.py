"""The last linear layer of a classifier: W and b of `logits = features W^T + b`.

features -> whatever the graph does from there on -> logits
zero row, unit rows                                  b, W

It is read off by running that part alone, so that any affine tail is one: a layer with its bias
apart, the mean of two heads, a scale behind it. Random rows tell whether it is affine.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edge_ood.graph.draft import Draft, drop_unused, finish, start
from edge_ood.graph.shapes import PROBED_BATCHES
from edge_ood.onnx_session import open_session
from edge_ood.scores import FEATURES_PREFIX, PENULTIMATE, LinearLayer

__all__ = ["last_layer"]

_SAME_VALUES = frozenset(["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze"])
_ROWS = 512
_RANDOM_ROWS = 3
_TOLERANCE = 1e-3
"""Of the largest logit; float16 rounds to 5e-4, and what is not affine is far off."""


def last_layer(classifier: onnx.ModelProto) -> LinearLayer | None:
    """The affine map from penultimate features to logits; None where there is none.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it; stays as it is.
    """
    draft = start(classifier)
    found = _entry(draft)
    if found is None:
        return None
    name, sizes = found
    facts = draft.facts()
    elem_type = facts.elem_type(name)
    draft.inputs = {name: helper.make_tensor_value_info(name, elem_type, ["N", *sizes])}
    draft.outputs = ["logits"]
    draft.nodes = [node for node in draft.nodes if name not in node.output]
    drop_unused(draft)
    tail = finish(classifier, draft)
    del tail.graph.output[:]
    tail.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    session = open_session(tail.SerializeToString(), provider="cpu")
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    width = int(np.prod(sizes))

    def logits(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        (given,) = session.run(["logits"], {name: rows.astype(dtype).reshape(-1, *sizes)})
        return np.asarray(given, np.float64)

    bias = logits(np.zeros((1, width)))[0]
    unit = np.eye(width)
    parts = [logits(unit[at : at + _ROWS]) - bias for at in range(0, width, _ROWS)]
    found_layer = LinearLayer(np.ascontiguousarray(np.concatenate(parts).T), bias)
    rows = np.random.default_rng(0).normal(size=(_RANDOM_ROWS, width))
    expected = rows @ found_layer.weight.T + bias
    error = np.abs(logits(rows) - expected).max()
    return found_layer if error <= _TOLERANCE * np.abs(expected).max() else None


def _entry(draft: Draft) -> tuple[str, tuple[int, ...]] | None:
    """The tensor from which all of the logits follow, with its sizes after the batch."""
    facts = draft.facts()
    makers = {name: node for node in draft.nodes for name in node.output}
    name = FEATURES_PREFIX + PENULTIMATE
    if name not in draft.outputs:
        return None
    while not _follow_from(name, draft, makers):
        node = makers.get(name)
        if node is None or node.op_type not in _SAME_VALUES:
            return None
        name = node.input[0]
    extents = facts.extents(name)
    if not extents or extents[0] != PROBED_BATCHES:
        return None
    sizes = tuple(size for size, other in extents[1:] if size is not None and size == other)
    return (name, sizes) if len(sizes) == len(extents) - 1 else None


def _follow_from(name: str, draft: Draft, makers: dict[str, NodeProto]) -> bool:
    """Whether the logits can be computed from this tensor, and from constants."""
    seen, waiting, reached = set[str](), ["logits"], False
    while waiting:
        wanted = waiting.pop()
        if wanted in draft.inputs:
            return False
        reached |= wanted == name
        if wanted == name or wanted in seen or wanted not in makers:
            continue
        seen.add(wanted)
        waiting.extend(filter(None, makers[wanted].input))
    return reached
