"""Nodes in an order in which they can run, which converters do not always write."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from onnx import GraphProto, ModelProto, NodeProto

from edge_ood.graph.draft import names_read
from edge_ood.graph.sanity import inner_graphs

__all__ = ["sort_nodes"]


def sort_nodes(model: ModelProto) -> str:
    """Put the nodes of a model, its functions and sub-graphs into running order, in place.

    onnxruntime sorts them when it loads a file; whoever walks a graph needs them sorted.

    Returns:
        What stands in the way, in words: nodes that wait for each other; empty if nothing does.
    """
    try:
        _sort(model.graph)
        for function in model.functions:
            _sort(function)
    except CycleError as error:
        return f"its nodes wait for each other in a circle: {error.args[1]}"
    return ""


def _sort(graph: GraphProto) -> None:  # or a FunctionProto, which has nodes too
    for node in graph.node:
        for inner in inner_graphs(node):
            _sort(inner)
    nodes = list(graph.node)
    order = _running_order(nodes)
    if order != sorted(order):
        copies = [NodeProto.FromString(nodes[position].SerializeToString()) for position in order]
        del graph.node[:]
        graph.node.extend(copies)


def _running_order(nodes: Sequence[NodeProto]) -> list[int]:
    """Positions of the nodes, as they are if that will do."""
    makers = {name: at for at, node in enumerate(nodes) for name in node.output if name}
    needed = {
        at: {makers[name] for name in names_read(node) if name in makers}
        for at, node in enumerate(nodes)
    }
    if all(other < at for at, others in needed.items() for other in others):
        return list(range(len(nodes)))
    try:
        return list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        shown = " -> ".join(repr(_called(nodes[at])) for at in error.args[1])
        raise CycleError(error.args[0], shown) from error


def _called(node: NodeProto) -> str:
    return node.name or f"{node.op_type} {next(filter(None, node.output), '')}"
