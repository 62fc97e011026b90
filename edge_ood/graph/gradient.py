"""Reverse-mode differentiation of an ONNX graph, by the rules in `edge_ood.graph.rules`.

The gradient is made of ordinary operators of the default domain, so every runtime computes it.
Nothing fixes the batch size. A perturbed score is:

    gradient = append_gradient(builder, of=loss, wrt=x, inputs=[type of x])
    moved = append_step(builder, x, gradient, step)
    again = append_replay(builder, ["logits"], source=x, replacement=moved)
    score on again["logits"]
"""

from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import NodeProto, ValueInfoProto, helper, numpy_helper

from edge_ood.errors import ExportError
from edge_ood.graph.array import OPSET, GraphBuilder
from edge_ood.graph.declare import declare_shapes
from edge_ood.graph.draft import Draft
from edge_ood.graph.rearranged import Rearranged, append_rearranged
from edge_ood.graph.rules import Rule, find_rule
from edge_ood.graph.rules._broadcast import filled_like
from edge_ood.graph.shapes import analyse
from edge_ood.graph.tape import Tape
from edge_ood.graph.tidy import tidy

__all__ = ["append_gradient", "append_replay", "with_gradient"]

_OLDEST_OPSET = 13
"""First opset in which Unsqueeze, Squeeze and ReduceSum take axes as an input."""


def append_gradient(
    builder: GraphBuilder,
    *,
    of: str,
    wrt: str,
    inputs: Sequence[ValueInfoProto],
    opset: int = OPSET,
    cotangent: str | None = None,
) -> str:
    """Append the nodes that compute the gradient of a loss per image.

    Args:
        builder: Holds the forward graph, from `wrt` to `of`; gets the new nodes.
        of: Name of a float tensor: one loss per image (N,), each of which depends on its own image
            only. Any other shape is allowed and means the sum over its elements.
        wrt: Name of the float tensor to differentiate by.
        inputs: Names, element types and shapes of the tensors that come from outside, `wrt` among
            them, their first size left open where it is the batch. How they are computed, if they
            are, is not looked at.
        opset: Of the forward graph, at least 13.
        cotangent: Name of a tensor of the shape of `of`, by which its elements are weighted; all
            weights are one without it.

    Returns:
        Name of the gradient, of the shape and element type of `wrt`.

    Raises:
        ExportError: If an operator between `wrt` and `of` has no rule or a form that its rule does
            not know, or if `of` does not depend on `wrt`.
    """
    if opset < _OLDEST_OPSET:
        raise ExportError(
            f"the model has opset {opset}, gradients need at least {_OLDEST_OPSET}",
            hint="onnx.version_converter.convert_version(model, 18) converts it",
        )
    types = {value.name: value.type for value in inputs}
    forward = _between(builder.nodes, types, [of])
    weights = {tensor.name: tensor for tensor in builder.initializers}
    facts = analyse(forward, types, weights, [helper.make_opsetid("", opset)])
    scratch = GraphBuilder(prefix=f"{wrt}/gradient_{len(builder.nodes)}")
    tape = Tape(scratch, facts, forward)
    path = _differentiable(forward, wrt, tape)
    if not any(of in node.output for node in path):
        raise ExportError(
            f"{of!r} does not depend on {wrt!r}, so it has no gradient",
            hint="check that the loss is computed from the classifier's outputs",
        )
    tape.collect(of, cotangent or filled_like(tape, of, 1))
    wanted = {wrt, *(name for node in path for name in node.output)}
    for node in reversed(path):
        _pass_back(tape, node, wanted)
    gradient = tape.collected(wrt)
    if gradient is None:
        raise ExportError(
            f"the derivative of {of!r} by {wrt!r} is zero everywhere",
            hint="a rounded or thresholded loss has no gradient",
        )
    opsets = [helper.make_opsetid("", opset)]
    facts.extend(scratch.nodes, scratch.initializers, opsets)
    constants = {tensor.name: tensor for tensor in scratch.initializers}
    draft = Draft(scratch.nodes, constants, {}, [gradient], opsets)
    tidy(draft, facts, tape.origins)
    return _commit(draft, builder, tape.origins)


def append_replay(
    builder: GraphBuilder,
    outputs: Sequence[str],
    *,
    source: str,
    replacement: str,
    prefix: str = "replay/",
) -> dict[str, str]:
    """Append a second run of a part of the graph on another tensor, with the same weights.

    Args:
        builder: Holds the first run; gets the nodes that depend on `source` once more.
        outputs: Names of the tensors wanted again.
        source: Name of the tensor that the first run starts from.
        replacement: Name of the tensor that the second run starts from.
        prefix: Goes before every name of the second run; each run needs its own.

    Returns:
        For each of `outputs` the name of its counterpart; its own where it does not depend on
        `source`.
    """
    renamed = {source: replacement}
    for node in _between(builder.nodes, [source], outputs):
        if not any(name in renamed for name in node.input):
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name = prefix + (node.name or node.output[0])
        renamed.update({name: prefix + name for name in node.output if name})
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        builder.nodes.append(copy)
    return {name: renamed.get(name, name) for name in outputs}


def with_gradient(
    model: onnx.ModelProto, *, of: str, wrt: str, output: str = "gradient"
) -> onnx.ModelProto:
    """A copy of a model with one more output: the gradient of a tensor by one of its inputs.

    Args:
        model: With opset 13 or newer.
        of: Name of a float tensor; the gradient is that of the sum over its elements.
        wrt: Name of a float input of the model.
        output: Name of the new output.

    Returns:
        The model with its own outputs, metadata and opset, and the gradient after them.

    Raises:
        ExportError: As `append_gradient` does.
    """
    builder = GraphBuilder(prefix=output)
    builder.nodes.extend(model.graph.node)
    builder.initializers.extend(model.graph.initializer)
    old_nodes, old_weights = len(builder.nodes), len(builder.initializers)
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    gradient = append_gradient(builder, of=of, wrt=wrt, inputs=inputs, opset=opset)
    builder.add("Identity", [gradient], name=output)
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.node.extend(builder.nodes[old_nodes:])
    extended.graph.initializer.extend(builder.initializers[old_weights:])
    added = extended.graph.output.add()
    added.CopyFrom(next(value for value in inputs if value.name == wrt))
    added.name = output
    declare_shapes(extended, inputs)
    return extended


def _between(
    nodes: Iterable[NodeProto], sources: Iterable[str], outputs: Iterable[str]
) -> list[NodeProto]:
    """What computes the outputs when the sources are given, in running order."""
    given = set(sources)
    needed = set(outputs)
    kept = []
    for node in reversed(list(nodes)):
        if given.isdisjoint(node.output) and not needed.isdisjoint(node.output):
            needed.update(name for name in node.input if name)
            kept.append(node)
    return kept[::-1]


def _differentiable(nodes: Sequence[NodeProto], source: str, tape: Tape) -> list[NodeProto]:
    """The nodes through which `source` moves a float tensor."""
    moved = {source}
    path = []
    for node in nodes:
        if moved.isdisjoint(node.input):
            continue
        outputs = [name for name in node.output if tape.is_float(name)]
        is_unknown = not any(tape.facts.elem_type(name) for name in node.output)
        if is_unknown:
            _rule_for(node)  # names the operator behind which nothing is known
        if outputs or is_unknown:
            moved.update(node.output)
            path.append(node)
    return path


def _commit(gradient: Draft, builder: GraphBuilder, origins: Mapping[str, Rearranged]) -> str:
    """Move the nodes of a gradient, and the constants that they read, to the graph's builder."""
    arrays = {name: numpy_helper.to_array(t) for name, t in gradient.weights.items()}
    gradient.rename(
        {
            name: append_rearranged(builder, array, origins[name])
            if name in origins
            else builder.constant(array)
            for name, array in arrays.items()
        }
    )
    builder.nodes.extend(gradient.nodes)
    return gradient.outputs[0]


def _pass_back(tape: Tape, node: NodeProto, wanted: set[str]) -> None:
    reached = [name for name in node.output if tape.has_gradient(name)]
    if not reached:
        return
    rule = _rule_for(node)
    if reached != [node.output[0]] and not rule.all_outputs:
        raise ExportError(
            f"the gradient of {node.op_type} node {node.name!r} arrives at {reached}, expected only"
            " its first output"
        )
    for index, name in enumerate(node.input):
        if name in wanted:
            gradient = rule.vjp(tape, node, index)
            if gradient is not None:
                tape.collect(name, gradient)


def _rule_for(node: NodeProto) -> Rule:
    rule = find_rule(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise ExportError(
            f"no gradient rule for operator {node.op_type!r} (node {node.name!r})",
            hint="leave out the heads that need gradients, or add a rule to edge_ood/graph/rules",
        )
    return rule
