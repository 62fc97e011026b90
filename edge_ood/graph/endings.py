"""How somebody else's network ends: what is called logits and features here, found in its graph.

What a network puts in front of a softmax is logits, and what its last linear layer reads is
features. Where a search fails, its owner names the tensors.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto

from edge_ood.errors import InputError
from edge_ood.graph.activations import SAME_VALUES, Step, steps_to_logits
from edge_ood.graph.draft import start
from edge_ood.graph.known import Graph, shown_shape
from edge_ood.graph.shapes import attribute
from edge_ood.graph.sizes import check_sizes
from edge_ood.scores import PENULTIMATE

__all__ = ["Ending", "find_ending"]

_WITH_A_CONSTANT = frozenset(["Add", "Div", "Mul", "Sub"])
_LINEAR = frozenset(["Gemm", "MatMul"])
_WORDNET_ID = re.compile(r"n\d{8}")
_IMAGENET, _SHOWN = 1000, 2


@dataclass(frozen=True)
class Ending:
    """How a network ends.

    Attributes:
        output: The tensor that the network's owner reads, one row an image.
        width: Numbers in a row: K, or 1 for a yes or no.
        steps: What turns `logits` into it: an activation and what follows, or nothing.
        logits: The tensor before the activation.
        features: Tensors (N, D), or to be averaged over space, by layer name.
        no_features: Why there are none; empty if there are.
        is_linear: Whether a linear layer gives `logits`.
    """

    output: str
    width: int
    steps: tuple[Step, ...]
    logits: str
    features: Mapping[str, str] = field(default_factory=dict)
    no_features: str = ""
    is_linear: bool = False

    @property
    def activation(self) -> str:
        """One of `ACTIVATIONS`, the innermost; empty where there is none."""
        return self.steps[0].kind if self.steps else ""


def find_ending(
    model: onnx.ModelProto,
    *,
    classes: int | None = None,
    folders: Sequence[str] = (),
    logits: str | None = None,
    features: Sequence[str] = (),
) -> Ending:
    """Find what a classifier says and what its last linear layer reads.

    Args:
        model: As `edge_ood.graph.intake.normal_form` gives it.
        classes: K, where it is known.
        folders: The class folders that were counted for it, for the message if they do not fit.
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
    output = logits or _choose_output(graph, classes, folders)
    width = graph.width(output)
    if width is None or (classes is not None and not _fits(width, classes)):
        raise _no_rows(graph, [output], classes, folders)
    steps, before = steps_to_logits(graph, output)
    linear, reason = _last_linear(graph, before)
    found = ""
    if linear is not None:
        found, reason = _read_by(graph, linear)
    layers = {PENULTIMATE: found} if found else {}
    if features:
        layers, reason = {_layer_name(name): name for name in features}, ""
    return Ending(output, width, steps, before, layers, reason, linear is not None)


def _choose_output(graph: Graph, classes: int | None, folders: Sequence[str]) -> str:
    rows = {name: graph.width(name) for name in graph.draft.outputs}
    fitting = [
        name
        for name, width in rows.items()
        if width is not None and (classes is None or _fits(width, classes))
    ]
    if not fitting:
        raise _no_rows(graph, graph.draft.outputs, classes, folders)
    # The same logits with and without a softmax are one answer, given twice.
    different = {steps_to_logits(graph, name)[1] for name in fitting}
    if len(different) > 1:
        raise InputError(
            f"outputs {', '.join(map(repr, fitting))} all look like class scores",
            hint=f"choose one, such as --logits {fitting[0]}",
        )
    return fitting[0]


def _fits(width: int, classes: int) -> bool:
    return width == classes or (width, classes) == (1, 2)


def _no_rows(
    graph: Graph, names: Sequence[str], classes: int | None, folders: Sequence[str]
) -> InputError:
    found = ", ".join(f"{name!r} {shown_shape(graph.extents(name))}" for name in names)
    widths = [width for width in map(graph.width, names) if width]
    if classes is not None and widths:
        shown = ", ".join(map(repr, folders[:_SHOWN])) + ", ..." * (len(folders) > _SHOWN)
        given = f"{len(folders)} class folders ({shown})" if folders else f"{classes} class names"
        ids = all(map(_WORDNET_ID.fullmatch, folders[:1])) and widths[0] == _IMAGENET
        return InputError(
            f"the model gives {found}, got {given}",
            hint=f"--classes FILE names all {max(2, widths[0])} classes, one a line, in the order "
            "of the outputs"
            + ", and class folders bear some of these names" * bool(folders)
            + "; networks of ImageNet have the sorted WordNet ids" * (bool(folders) and ids),
        )
    expected = "(N, K)" if classes is None else f"(N, {classes})"
    return InputError(
        f"the model gives {found}, expected one row of class scores an image, {expected}",
        hint="edge-ood attaches to image classifiers; --logits NAME takes another tensor of it",
    )


def _last_linear(graph: Graph, logits: str) -> tuple[NodeProto | None, str]:
    """The linear layer that gives the logits; or none, and why."""
    name = logits
    while node := graph.makers.get(name):
        if node.op_type in _LINEAR and graph.is_constant(node.input[1]):
            return node, ""
        constant = [graph.is_constant(i) for i in node.input[:2]]
        if node.op_type in _WITH_A_CONSTANT and sum(constant) == 1:
            name = node.input[constant.index(False)]
        elif node.op_type in SAME_VALUES:
            name = node.input[0]
        else:
            return None, f"its logits come from {node.op_type}, not from a linear layer"
    return None, "its logits come from no linear layer"


def _read_by(graph: Graph, linear: NodeProto) -> tuple[str, str]:
    """What a linear layer reads, one row an image; or nothing, and why."""
    name = linear.input[0]
    if graph.width(name) and not attribute(linear, "transA", 0):
        return name, ""
    shown = shown_shape(graph.extents(name))
    return "", f"its last linear layer reads {name!r} {shown}, not one row an image"


def _layer_name(tensor: str) -> str:
    return tensor.strip("/")
