"""A graph being rewritten in place, and the way from a model to it and back."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge_ood.graph.shapes import Facts, analyse

__all__ = ["Draft", "drop_unused", "finish", "names_read", "start"]


@dataclass
class Draft:
    """A graph being rewritten in place."""

    nodes: list[NodeProto]
    weights: dict[str, TensorProto]
    inputs: dict[str, onnx.ValueInfoProto]
    outputs: list[str]
    opsets: list[onnx.OperatorSetIdProto]

    def facts(self) -> Facts:
        """Shapes and constants of the graph as it is now."""
        types = {name: value.type for name, value in self.inputs.items()}
        return analyse(self.nodes, types, self.weights, self.opsets)

    def array(self, name: str) -> NDArray[Any] | None:
        """An initializer's values."""
        return numpy_helper.to_array(self.weights[name]) if name in self.weights else None

    def add(self, name: str, array: NDArray[Any]) -> str:
        """Store an initializer under a name that starts like `name`; returns its name."""
        while name in self.weights:
            name += "/folded"
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def uses(self) -> Counter[str]:
        """How many times each tensor is read, the graph's outputs included."""
        read = Counter(name for node in self.nodes for name in node.input)
        return read + Counter(self.outputs)

    def rename(self, renamed: dict[str, str]) -> None:
        """Let every node, and whoever reads the outputs, read other tensors."""
        for node in self.nodes:
            for position, name in enumerate(node.input):
                if name in renamed:
                    node.input[position] = renamed[name]
        self.outputs = [renamed.get(name, name) for name in self.outputs]


def start(model: onnx.ModelProto) -> Draft:
    """Copies of a model's nodes to rewrite; weights declared as inputs become constants."""
    copies = []
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    outputs = [value.name for value in model.graph.output]
    return Draft(copies, weights, inputs, outputs, list(model.opset_import))


def finish(model: onnx.ModelProto, draft: Draft) -> onnx.ModelProto:
    """The draft as a model, with everything from `model` that is not its graph."""
    made = {name for node in draft.nodes for name in node.output}
    graph = helper.make_graph(
        draft.nodes,
        model.graph.name,
        list(draft.inputs.values()),
        model.graph.output,
        list(draft.weights.values()),
        doc_string=model.graph.doc_string,
        value_info=[value for value in model.graph.value_info if value.name in made],
    )
    result = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        if field.is_repeated:
            getattr(result, field.name).extend(value)
        else:
            setattr(result, field.name, value)
    result.graph.CopyFrom(graph)
    return result


def drop_unused(draft: Draft) -> None:
    """Drop nodes and weights that no output needs."""
    needed = set(draft.outputs)
    kept = []
    for node in reversed(draft.nodes):
        if not needed.isdisjoint(node.output):
            needed.update(names_read(node))
            kept.append(node)
    draft.nodes = kept[::-1]
    draft.weights = {name: w for name, w in draft.weights.items() if name in needed}


def names_read(node: NodeProto) -> set[str]:
    """Names that a node reads, those that its sub-graphs take from outside included."""
    names = set(node.input)
    for part in node.attribute:
        for graph in [part.g] if part.HasField("g") else list(part.graphs):
            for inner in graph.node:
                names |= names_read(inner)
            names.update(value.name for value in graph.output)
    return names
