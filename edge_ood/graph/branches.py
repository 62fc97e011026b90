"""Branches that are the same for every image, decided before anything else looks at a graph.

PyTorch writes `squeeze`, among others, as an If on the shape of its input. onnxruntime decides it
when it loads the file; gradients, and whoever walks the graph, see the nodes of one branch.
"""

from collections import deque
from collections.abc import Iterator

from onnx import GraphProto, NodeProto, helper

from edge_ood.graph.draft import Draft
from edge_ood.graph.shapes import analyse, attribute

__all__ = ["decide_branches"]


def decide_branches(draft: Draft) -> None:
    """Put the nodes of one branch in place of each If whose condition is constant, in place.

    A condition counts as constant if it is the same for several images as for several others;
    branches for one image alone are left out, as they say the same of it.

    Args:
        draft: Its inputs are declared with sizes, as far as they are fixed.
    """
    if not any(node.op_type == "If" for node in draft.nodes):
        return
    types = {name: value.type for name, value in draft.inputs.items()}
    facts = analyse([], types, draft.weights, draft.opsets)
    waiting, nodes = deque(draft.nodes), list[NodeProto]()
    while waiting:
        node = waiting.popleft()
        condition = facts.value(node.input[0]) if node.op_type == "If" else None
        if condition is None:
            nodes.append(node)
            facts.extend([node], draft.weights.values(), draft.opsets)
            continue
        branch = attribute(node, "then_branch" if condition.item() else "else_branch")
        waiting.extendleft(reversed(list(_in_place(draft, node, branch))))
    draft.nodes = nodes


def _in_place(draft: Draft, node: NodeProto, branch: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a branch, under names of their own, and its results as the node's outputs."""
    inner = [name for each in branch.node for name in each.output if name]
    inner += [tensor.name for tensor in branch.initializer]
    renamed = {name: f"{node.output[0]}/{name}" for name in inner}
    for tensor in branch.initializer:
        draft.weights[renamed[tensor.name]] = copy = type(tensor)()
        copy.CopyFrom(tensor)
        copy.name = renamed[tensor.name]
    for each in branch.node:
        yield _renamed(each, renamed)
    for result, value in zip(node.output, branch.output, strict=True):
        if result:
            yield helper.make_node("Identity", [renamed.get(value.name, value.name)], [result])


def _renamed(node: NodeProto, renamed: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [renamed.get(name, name) for name in node.input]
    copy.output[:] = [renamed.get(name, name) for name in node.output]
    for part in copy.attribute:
        for graph in [part.g] if part.HasField("g") else part.graphs:
            _rename_inside(graph, renamed)
    return copy


def _rename_inside(graph: GraphProto, renamed: dict[str, str]) -> None:
    """Let the nodes of a sub-graph read what they take from outside under its new name."""
    nodes = [_renamed(node, renamed) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.output:
        value.name = renamed.get(value.name, value.name)
