"""What stands between a classifier's logits and what it gives: softmax, scaling, clipping.

Only what keeps the order of the classes is walked through, and the innermost softmax or sigmoid
counts: a softmax of a softmax is one of the same logits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from edge_ood.graph.known import Graph
from edge_ood.graph.shapes import attribute

__all__ = ["ACTIVATIONS", "SAME_VALUES", "Step", "applied", "described", "steps_to_logits"]

SAME_VALUES = frozenset(
    ["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"]
)
"""Operators that leave a row of class scores as it is, as long as it stays a row an image."""

ACTIVATIONS = ("softmax", "log_softmax", "sigmoid")

_OF_OPERATOR = {
    "Exp": "exp",
    "Log": "log",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
}
_WORDS = {"log_softmax": "log-softmax", "log": "its logarithm", "normalise": "divided by its sum"}


@dataclass(frozen=True)
class Step:
    """One operation on rows of class scores (N, K) that keeps the order of the classes.

    Attributes:
        kind: One of `ACTIVATIONS`; `exp`, `log` or `normalise` (divided by the sum of the row);
            `scale` by a positive number, `shift` by a number, or `clip`.
        low: The number; of `clip` the least.
        high: Of `clip` the greatest.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        if self.kind == "scale":
            return f"times {self.low:g}"
        if self.kind == "shift":
            return f"plus {self.low:g}"
        if self.kind == "clip":
            return f"kept within [{self.low:g}, {self.high:g}]"
        return _WORDS.get(self.kind, self.kind)


def steps_to_logits(graph: Graph, output: str) -> tuple[tuple[Step, ...], str]:
    """How a tensor comes from logits.

    Args:
        graph: The network.
        output: A tensor with one row an image.

    Returns:
        The steps from the logits to `output`, the first of which is an activation, and the tensor
        of the logits; nothing and `output` itself where no activation is on the way.
    """
    name, passed = output, list[Step]()
    steps, logits = tuple[Step, ...](), output
    while node := graph.makers.get(name):
        if node.op_type in SAME_VALUES and graph.width(name) == graph.width(node.input[0]):
            name = node.input[0]
            continue
        step, name = _step(graph, node)
        if step is None:
            break
        passed.insert(0, step)
        if passed[0].kind == "exp" and [s.kind for s in passed[1:2]] == ["normalise"]:
            passed[:2] = [Step("softmax")]
            name = _before_the_peak(graph, name)
        if passed[0].kind in ACTIVATIONS:
            steps, logits = tuple(passed), name
    return steps, logits


def applied(steps: Sequence[Step], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What steps make of rows (N, K)."""
    for step in steps:
        rows = _of_kind(step, rows)
    return rows


def described(steps: Sequence[Step]) -> str:
    """Steps in words, such as `softmax, times 100`."""
    return ", ".join(map(str, steps))


def _of_kind(step: Step, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if step.kind in ("scale", "shift", "clip"):
        return _adjusted(step, rows)
    below = rows - rows.max(axis=1, keepdims=True)
    log_shares = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
    with np.errstate(all="ignore"):  # of those that are not asked for
        found = {
            "softmax": np.exp(log_shares),
            "log_softmax": log_shares,
            "sigmoid": 1 / (1 + np.exp(-rows)),
            "exp": np.exp(rows),
            "log": np.log(rows),
            "normalise": rows / rows.sum(axis=1, keepdims=True),
        }
    return np.asarray(found[step.kind])


def _adjusted(step: Step, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if step.kind == "clip":
        return rows.clip(step.low, step.high)
    return rows * step.low if step.kind == "scale" else rows + step.low


def _step(graph: Graph, node: NodeProto) -> tuple[Step | None, str]:
    """The step that a node is, and what it reads; None where it is none."""
    read = node.input[0]
    kind = _OF_OPERATOR.get(node.op_type)
    if kind in ("softmax", "log_softmax") and not _is_over_classes(graph, node):
        return None, read
    if kind is not None:
        return Step(kind), read
    if node.op_type == "Relu":
        return Step("clip", 0, math.inf), read
    if node.op_type == "Clip":
        low, high = _bound(graph, node, 1), _bound(graph, node, 2)
        return (None if low is None or high is None else Step("clip", low, high)), read
    if node.op_type == "Div" and _is_sum(graph, node.input[1], read):
        return Step("normalise"), read
    return _with_a_number(graph, node)


def _with_a_number(graph: Graph, node: NodeProto) -> tuple[Step | None, str]:
    """Rows and one number for all classes: plus, times, at least, at most."""
    if len(node.input) != 2:
        return None, ""
    swaps = node.op_type in ("Add", "Mul", "Max", "Min")
    numbers = [graph.number(name) for name in node.input]
    place = 1 if numbers[1] is not None or not swaps else 0
    number, read = numbers[place], node.input[1 - place]
    if number is None or graph.width(read) != graph.width(node.output[0]):
        return None, ""
    steps = {
        "Add": Step("shift", number),
        "Sub": Step("shift", -number),
        "Max": Step("clip", number, math.inf),
        "Min": Step("clip", -math.inf, number),
    }
    if number > 0:  # others turn the order around
        steps |= {"Mul": Step("scale", number), "Div": Step("scale", 1 / number)}
    return steps.get(node.op_type), read


def _bound(graph: Graph, node: NodeProto, place: int) -> float | None:
    """A limit of `Clip`, infinite where it is left out; None if it is no constant."""
    if len(node.input) <= place or not node.input[place]:
        return -math.inf if place == 1 else math.inf
    return graph.number(node.input[place])


def _is_sum(graph: Graph, name: str, of: str) -> bool:
    """Whether a tensor is the sum over the classes of another."""
    node = graph.makers.get(name)
    return node is not None and node.op_type == "ReduceSum" and _reduces(graph, node, of)


def _before_the_peak(graph: Graph, name: str) -> str:
    """The scores from which the largest was subtracted, which no softmax notices."""
    node = graph.makers.get(name)
    if node is None or node.op_type != "Sub":
        return name
    peak = graph.makers.get(node.input[1])
    is_peak = peak is not None and peak.op_type == "ReduceMax"
    return node.input[0] if is_peak and _reduces(graph, peak, node.input[0]) else name


def _reduces(graph: Graph, node: NodeProto, read: str) -> bool:
    return node.input[0] == read and graph.width(node.output[0]) == 1


def _is_over_classes(graph: Graph, node: NodeProto) -> bool:
    """Whether a softmax sums to one over the only axis that is not the batch or of size 1."""
    extents = graph.extents(node.input[0])
    width = graph.width(node.input[0])
    if extents is None or width is None:
        return False
    return extents[attribute(node, "axis", -1)] == (width, width)
