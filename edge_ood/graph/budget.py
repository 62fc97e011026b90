"""Where the bytes of an artefact are: so many for the classifier, so many for each thing around it.

preprocessing  from the decoded frame to the network's input
classifier     the network that came in; its weights count here, also where a gradient reads them
gradient       backward pass, step and second pass of the heads that perturb
statistics     the heads' formulas and what they were fitted with
decision       thresholds, p-values and what turns scores into them
metadata       everything else: the JSON document and the file's own frame
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import GraphProto, NodeProto

from edge_ood.graph.loading import load_model_file
from edge_ood.graph.network import CLASSIFIER_PREFIX, PREPROCESSED

__all__ = ["PARTS", "Part", "size_budget", "stored_bytes"]

PARTS = ("preprocessing", "classifier", "gradient", "statistics", "decision", "metadata")

_OWNERS = ("classifier", "statistics", "preprocessing", "gradient", "decision")
"""A constant that several parts read counts for the first of these."""

_VARINT_BITS = 7


@dataclass(frozen=True)
class Part:
    """One part of an artefact.

    Attributes:
        name: One of `PARTS`.
        nodes: Operators of the graph.
        size_bytes: In the file.
    """

    name: str
    nodes: int
    size_bytes: int


def size_budget(path: Path, heads: Sequence[str]) -> tuple[Part, ...]:
    """Share out the bytes of a file, every one exactly once.

    Args:
        path: An artefact.
        heads: Names of all its score heads.

    Returns:
        All `PARTS` in their order; `size_bytes` sums to the size of the file.
    """
    graph = load_model_file(path).graph
    parts = _parts_of_nodes(graph, heads)
    readers, makers = defaultdict(set), {}
    for node, part in zip(graph.node, parts, strict=True):
        makers.update(dict.fromkeys(node.output, part))
        for name in _read(node):
            readers[name].add(part)
    sizes: Counter[str] = Counter()
    for node, part in zip(graph.node, parts, strict=True):
        sizes[part] += stored_bytes(node)
    for tensor in graph.initializer:
        owner = next((part for part in _OWNERS if part in readers[tensor.name]), "metadata")
        sizes[owner] += stored_bytes(tensor)
    for value in graph.value_info:
        sizes[makers.get(value.name, "metadata")] += stored_bytes(value)
    sizes["metadata"] += path.stat().st_size - sizes.total()
    nodes = Counter(parts)
    return tuple(Part(name, nodes[name], sizes[name]) for name in PARTS)


def _parts_of_nodes(graph: GraphProto, heads: Sequence[str]) -> list[str]:
    """The part of every node: what the network's input needs, what the second passes need, ..."""
    made = {name: node for node in graph.node for name in node.output if name}
    classifier = {name for name in made if name.startswith(CLASSIFIER_PREFIX)}
    # Replayed nodes are called `<head>/<output>/classifier/...`.
    replayed = [n for n in made if n not in classifier and f"/{CLASSIFIER_PREFIX}" in n]
    claims = (
        ("preprocessing", _needed_for(made, [PREPROCESSED])),
        ("classifier", classifier),
        ("gradient", _needed_for(made, replayed)),
        ("statistics", _needed_for(made, heads)),
    )
    return [
        next((part for part, names in claims if not names.isdisjoint(node.output)), "decision")
        for node in graph.node
    ]


def _needed_for(made: Mapping[str, NodeProto], wanted: Sequence[str]) -> set[str]:
    """The tensors that are computed on the way to some others, these included."""
    needed: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name in made and name not in needed:
            needed.add(name)
            pending.extend(_read(made[name]))
    return needed


def _read(node: NodeProto) -> Iterator[str]:
    """Names that a node reads, also inside branches and loop bodies."""
    yield from node.input
    for attribute in node.attribute:
        for body in (*attribute.graphs, attribute.g):
            for inner in body.node:
                yield from _read(inner)


def stored_bytes(message: Any) -> int:
    """Bytes of an item in a protobuf list: a tag of one byte, its length, and itself."""
    size: int = message.ByteSize()
    return 1 + max(1, -(-size.bit_length() // _VARINT_BITS)) + size
