"""What no classifier has, and a file made to do harm may: refused before anything is computed."""

import textwrap
from collections.abc import Iterable, Iterator

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto

__all__ = ["all_nodes", "first_absurdity", "inner_graphs", "shortened"]

_LONGEST_NAME = 2000
_LONGEST_REASON = 200
_MOST_FUNCTIONS, _DEEPEST_CALLS = 10_000, 100
"""As onnx has it."""
_WINDOW = ("dilations", "kernel_shape", "output_padding", "pads", "strides")
_LARGEST_WINDOW = 4096
"""Pixels, as many as the side of the largest image: what is padded by more fills any memory."""
_MOST_NODES = 200_000
"""After local functions are put in place: functions of two calls each grow as powers of two."""


def first_absurdity(model: ModelProto) -> str:
    """What is absurd about a model, in words; empty if nothing is."""
    if any(len(name) > _LONGEST_NAME or "\0" in name for name in _names(model)):
        return f"a name in it has more than {_LONGEST_NAME} characters, or a NUL"
    if any(map(_has_absurd_window, _nodes_of(model))):
        return f"a window in it, its step or its edge has more than {_LARGEST_WINDOW} px"
    if _nodes_in_place(model) > _MOST_NODES:
        return f"with its functions in place it has more than {_MOST_NODES} nodes, or no end"
    return ""


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those of the graphs inside them; protobuf reads 100 levels at most."""
    for node in nodes:
        yield node
        for inner in inner_graphs(node):
            yield from all_nodes(inner.node)


def shortened(reason: str) -> str:
    """The first line of what another library says, not all of it where it quotes the file."""
    first = reason.strip().partition("\n")[0]
    return textwrap.shorten(first, _LONGEST_REASON, placeholder=" ...")


def inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """The branches or bodies of a node."""
    for part in node.attribute:
        yield from [part.g] if part.HasField("g") else part.graphs


def _nodes_of(model: ModelProto) -> Iterator[NodeProto]:
    yield from all_nodes(model.graph.node)
    for function in model.functions:
        yield from all_nodes(function.node)


def _has_absurd_window(node: NodeProto) -> bool:
    sizes = (size for part in node.attribute if part.name in _WINDOW for size in part.ints)
    return any(abs(size) > _LARGEST_WINDOW for size in sizes)


def _names(model: ModelProto) -> Iterator[str]:
    yield from _names_of(model.graph)
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
        yield from _names_of_nodes(function.node)
    yield from (entry.domain for entry in model.opset_import)


def _names_of(graph: GraphProto) -> Iterator[str]:
    yield graph.name
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        yield from (value.name for value in values)
    yield from _names_of_nodes(graph.node)


def _names_of_nodes(nodes: Iterable[NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for graph in inner_graphs(node):
            yield from _names_of(graph)


def _nodes_in_place(model: ModelProto) -> int:
    """Nodes once every function stands where it is called; too many if one calls itself."""
    functions = {(f.domain, f.name): f for f in model.functions}
    if len(functions) > _MOST_FUNCTIONS:
        return _MOST_NODES + 1
    waiting = {key: _calls(f, functions) for key, f in functions.items()}
    sizes: dict[tuple[str, str], int] = {}
    # Those that call only such as are counted come first; who is never counted has no end.
    for _ in range(_DEEPEST_CALLS):
        ready = [key for key, calls in waiting.items() if calls <= sizes.keys()]
        sizes |= {key: min(_size(functions[key].node, sizes), _MOST_NODES + 1) for key in ready}
        waiting = {key: calls for key, calls in waiting.items() if key not in sizes}
    return _MOST_NODES + 1 if waiting else _size(model.graph.node, sizes)


def _calls(
    function: FunctionProto, functions: dict[tuple[str, str], FunctionProto]
) -> set[tuple[str, str]]:
    return {(n.domain, n.op_type) for n in all_nodes(function.node)} & set(functions)


def _size(nodes: Iterable[NodeProto], sizes: dict[tuple[str, str], int]) -> int:
    return sum(sizes.get((node.domain, node.op_type), 1) for node in all_nodes(nodes))
