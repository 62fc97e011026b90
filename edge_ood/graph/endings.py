"""How somebody else's network ends: what is called logits and features here, found in its graph.

What a network puts in front of a softmax is logits, and what its last linear layer reads is
features. Where a search fails, its owner names the tensors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto, TensorProto

from edge_ood.errors import InputError, UnknownNameError
from edge_ood.graph.draft import Draft, start
from edge_ood.graph.shapes import PROBED_BATCHES, Extents, Facts, attribute
from edge_ood.graph.sizes import check_sizes
from edge_ood.scores import PENULTIMATE

__all__ = ["FLOATS", "Ending", "Graph", "find_ending", "shown_shape"]

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)

_ACTIVATIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_SAME_VALUES = frozenset(
    ["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"]
)
_WITH_A_CONSTANT = frozenset(["Add", "Div", "Mul", "Sub"])
_LINEAR = frozenset(["Gemm", "MatMul"])


@dataclass(frozen=True)
class Ending:
    """How a network ends.

    Attributes:
        output: The tensor that the network's owner reads, one row an image.
        width: Numbers in a row: K, or 1 for a yes or no.
        activation: What turns `logits` into it: `softmax`, `log_softmax`, `sigmoid`, or nothing.
        logits: The tensor before the activation.
        features: Tensors (N, D), or to be averaged over space, by layer name.
        no_features: Why there are none; empty if there are.
    """

    output: str
    width: int
    activation: str
    logits: str
    features: Mapping[str, str] = field(default_factory=dict)
    no_features: str = ""


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


def find_ending(
    model: onnx.ModelProto,
    *,
    classes: int | None = None,
    logits: str | None = None,
    features: Sequence[str] = (),
) -> Ending:
    """Find what a classifier says and what its last linear layer reads.

    Args:
        model: As `edge_ood.graph.intake.normal_form` gives it.
        classes: K, where it is known.
        logits: Name of the tensor to take for the output, in place of a search.
        features: Names of the tensors to take for features, in place of a search.

    Raises:
        ExportError: If a tensor takes more memory than there is.
        InputError: If no output is one row of K numbers an image, or several are.
        UnknownNameError: If a tensor does not exist.
    """
    draft = start(model)
    graph = Graph(draft, draft.facts())
    check_sizes(draft.nodes, graph.facts)
    for name in (*([logits] if logits else []), *features):
        graph.check_name(name)
    output = logits or _choose_output(graph, classes)
    width = graph.width(output)
    if width is None or (classes is not None and not _fits(width, classes)):
        raise _no_rows(graph, [output], classes)
    activation, before = _without_activation(graph, output)
    if features:
        named = {_layer_name(name): name for name in features}
        return Ending(output, width, activation, before, named)
    found, reason = _penultimate(graph, before)
    layers = {PENULTIMATE: found} if found else {}
    return Ending(output, width, activation, before, layers, reason)


def _choose_output(graph: Graph, classes: int | None) -> str:
    rows = {name: graph.width(name) for name in graph.draft.outputs}
    fitting = [
        name
        for name, width in rows.items()
        if width is not None and (classes is None or _fits(width, classes))
    ]
    if not fitting:
        raise _no_rows(graph, graph.draft.outputs, classes)
    # The same logits with and without a softmax are one answer, given twice.
    different = {_without_activation(graph, name)[1] for name in fitting}
    if len(different) > 1:
        raise InputError(
            f"outputs {', '.join(map(repr, fitting))} all look like class scores",
            hint=f"choose one, such as --logits {fitting[0]}",
        )
    return fitting[0]


def _fits(width: int, classes: int) -> bool:
    return width == classes or (width, classes) == (1, 2)


def _no_rows(graph: Graph, names: Sequence[str], classes: int | None) -> InputError:
    found = ", ".join(f"{name!r} {shown_shape(graph.extents(name))}" for name in names)
    if classes is not None and any(graph.width(name) for name in names):
        return InputError(
            f"the model gives {found}, got {classes} class names",
            hint="--classes FILE names all classes, one a line, in the order of the outputs",
        )
    expected = "(N, K)" if classes is None else f"(N, {classes})"
    return InputError(
        f"the model gives {found}, expected one row of class scores an image, {expected}",
        hint="edge-ood attaches to image classifiers; --logits NAME takes another tensor of it",
    )


def shown_shape(extents: Extents | None) -> str:
    """A shape for a message, such as `(N, 1000)`."""
    if extents is None:
        return "of unknown shape"
    sizes = ["N" if pair == PROBED_BATCHES else str(pair[0] or "?") for pair in extents]
    return f"({', '.join(sizes)})"


def _without_activation(graph: Graph, output: str) -> tuple[str, str]:
    """The activation that ends a network, and the tensor before it; none and the output itself."""
    name = output
    while node := graph.makers.get(name):
        if node.op_type in _ACTIVATIONS and _is_over_classes(graph, node):
            return _ACTIVATIONS[node.op_type], node.input[0]
        if node.op_type not in _SAME_VALUES and not _is_log_of_softmax(graph, node):
            break
        name = node.input[0]
    return "", output


def _is_over_classes(graph: Graph, node: NodeProto) -> bool:
    """Whether a softmax sums to one over the only axis that is not the batch or of size 1."""
    extents = graph.extents(node.input[0])
    width = graph.width(node.input[0])
    if extents is None or width is None:
        return False
    axis = attribute(node, "axis", -1)
    return node.op_type == "Sigmoid" or extents[axis] == (width, width)


def _is_log_of_softmax(graph: Graph, node: NodeProto) -> bool:
    behind = graph.makers.get(node.input[0]) if node.op_type == "Log" else None
    return behind is not None and behind.op_type == "Softmax"


def _penultimate(graph: Graph, logits: str) -> tuple[str, str]:
    """What the last linear layer reads; or nothing, and why."""
    name = logits
    while node := graph.makers.get(name):
        if node.op_type in _LINEAR and graph.is_constant(node.input[1]):
            return _read_by(graph, node)
        constant = [graph.is_constant(i) for i in node.input[:2]]
        if node.op_type in _WITH_A_CONSTANT and sum(constant) == 1:
            name = node.input[constant.index(False)]
        elif node.op_type in _SAME_VALUES:
            name = node.input[0]
        else:
            return "", f"its logits come from {node.op_type}, not from a linear layer"
    return "", "its logits come from no linear layer"


def _read_by(graph: Graph, linear: NodeProto) -> tuple[str, str]:
    name = linear.input[0]
    if graph.width(name) and not attribute(linear, "transA", 0):
        return name, ""
    shown = shown_shape(graph.extents(name))
    return "", f"its last linear layer reads {name!r} {shown}, not one row an image"


def _layer_name(tensor: str) -> str:
    return tensor.strip("/")
