"""The part of somebody else's model that is made of ONNX's own operators and leads to an answer.

scikit-learn's converters, among others, end a network in operators that look up the names of
classes. Whatever is not on the way to the scores does not matter.
"""

from collections.abc import Iterable, Sequence

import onnx
from onnx import NodeProto, helper, shape_inference

from edge_ood.errors import ExportError
from edge_ood.graph.draft import Draft, drop_unused, finish, names_read, start
from edge_ood.graph.sanity import all_nodes

__all__ = ["OWN_DOMAINS", "cut_to", "own_part"]

OWN_DOMAINS = ("", "ai.onnx")
"""Two names of ONNX's own domain."""

_LOOPS = frozenset(["Loop", "Scan", "SequenceMap"])
"""How long they run, nobody knows: no artefact has any, as if they were of another domain."""

_NAMING = frozenset(["ArrayFeatureExtractor", "LabelEncoder", "ZipMap"])
"""Operators of `ai.onnx.ml` that put names to classes, and compute nothing."""


def cut_to(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A model that gives these tensors alone, without the nodes and weights that they do not need.

    Args:
        model: As `edge_ood.graph.intake.read_model` gives it; stays as it is.
        names: Tensors of its graph, outputs or not.
    """
    draft = start(model)
    draft.outputs = list(dict.fromkeys(names))
    drop_unused(draft)
    return _with_outputs(model, draft)


def own_part(model: onnx.ModelProto, *, logits: str | None = None) -> onnx.ModelProto:
    """A model without loops, operators of other domains and what needs them.

    In place of outputs behind operators that put names to classes it gives what those read.

    Args:
        model: As `edge_ood.graph.intake.read_model` gives it; stays as it is.
        logits: The tensor that is its answer, where somebody named it; else the first output is.

    Raises:
        ExportError: If the answer needs a loop or an operator of another domain, or nothing is
            left.
    """
    causes = _behind_others(model.graph.node)
    outputs = [value.name for value in model.graph.output]
    answer = logits or outputs[0]
    kept: list[str] = []
    for name in dict.fromkeys([*outputs, answer]):
        if name not in causes:
            kept += [name] if name in outputs else []
        elif found := _named_tensors(model.graph.node, causes, name):
            kept += found
        elif name == answer:
            raise _foreign(causes[name], name)
    if not causes:
        return model
    draft = start(model)
    draft.nodes = [node for node in draft.nodes if causes.keys().isdisjoint(node.output)]
    draft.outputs = list(dict.fromkeys(kept)) or [answer]
    return _with_outputs(model, draft)


def _behind_others(nodes: Iterable[NodeProto]) -> dict[str, NodeProto]:
    """Tensors that need an operator of another domain, and the first such operator."""
    causes: dict[str, NodeProto] = {}
    for node in nodes:
        before = next((causes[name] for name in names_read(node) if name in causes), None)
        cause = before or next((n for n in all_nodes([node]) if not _is_own(n)), None)
        if cause is not None:
            causes |= dict.fromkeys(filter(None, node.output), cause)
    return causes


def _named_tensors(
    nodes: Sequence[NodeProto], causes: dict[str, NodeProto], output: str
) -> list[str]:
    """What the operators that name classes read on the way to an output; none if others are there.

    All others on the way are ONNX's own.
    """
    needed, found = {output}, dict[str, None]()
    for node in reversed(nodes):
        if needed.isdisjoint(node.output) or causes.keys().isdisjoint(node.output):
            continue
        if not all(_is_own(each) or _names_classes(each) for each in all_nodes([node])):
            return []
        needed |= names_read(node)
        if _names_classes(node):
            found |= dict.fromkeys(name for name in node.input if name not in causes)
    made = {name for node in nodes for name in node.output}
    return [name for name in found if name in made]


def _is_own(node: NodeProto) -> bool:
    return node.domain in OWN_DOMAINS and node.op_type not in _LOOPS


def _names_classes(node: NodeProto) -> bool:
    return node.domain == "ai.onnx.ml" and node.op_type in _NAMING


def _with_outputs(model: onnx.ModelProto, draft: Draft) -> onnx.ModelProto:
    """The draft as a model, its outputs declared as far as their types are known."""
    graph = model.graph
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    if any(name not in known for name in draft.outputs):
        inferred = shape_inference.infer_shapes(model).graph
        known = {value.name: value for value in inferred.value_info} | known
    result = finish(model, draft)
    del result.graph.output[:]
    result.graph.output.extend(
        known.get(name) or helper.make_empty_tensor_value_info(name) for name in draft.outputs
    )
    used = {node.domain for node in all_nodes(result.graph.node)}
    imports = [o for o in model.opset_import if o.domain in (*OWN_DOMAINS, *used)]
    del result.opset_import[:]
    result.opset_import.extend(imports)
    return result


def _foreign(node: NodeProto, output: str) -> ExportError:
    if node.op_type in _LOOPS:
        return ExportError(
            f"{output!r} needs a loop, {node.op_type!r} (node {node.name!r}): no artefact has any",
            hint="export the network with its loops unrolled; or --logits NAME takes a tensor that "
            "needs none",
        )
    return ExportError(
        f"{output!r} needs operator {node.op_type!r} of domain {node.domain!r} (node "
        f"{node.name!r}), expected ONNX's own operators",
        hint=_way_out(node),
    )


def _way_out(node: NodeProto) -> str:
    if node.domain.startswith("ai.onnx.ml"):
        return (
            "of ai.onnx.ml, logistic regression and scaling can be attached; trees, forests and "
            "support vector machines cannot"
        )
    if node.op_type.startswith("QLinear"):
        return "quantise it with quantize_static(..., quant_format=QuantFormat.QDQ)"
    return (
        "export it without optimisations for one runtime; they are made at load; or --logits "
        "NAME takes a tensor that needs none"
    )
