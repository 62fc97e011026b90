"""Sizes that no memory holds and sums without end, found before anything computes them.

A few bytes of a file can ask for any amount: a constant of 2^40 zeros is one node. What the graph
says about its tensors' sizes is enough to refuse that; sizes that follow from pixels are known only
to whoever runs it.
"""

import math
from collections.abc import Iterable

from onnx import NodeProto, TensorProto, helper

from edge_ood.errors import ExportError
from edge_ood.graph.shapes import PROBED_BATCHES, Facts, attribute
from edge_ood.images.decoding.memory import available_memory

__all__ = ["check_sizes"]

_MOST_STEPS = 1 << 40
"""Products that one layer may sum for an image: the largest networks take some 2^35."""

_NUMBERS = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING}


def check_sizes(nodes: Iterable[NodeProto], facts: Facts) -> None:
    """Refuse a graph in which one tensor takes more memory than this process may ever have.

    One whose windows take longer than anyone waits is refused, too.

    Args:
        nodes: Of the graph, those inside other nodes left out.
        facts: What is known about its tensors.

    Raises:
        ExportError: If a tensor is that large for a single image, or takes that many steps.
    """
    most = available_memory()
    for node in nodes:
        for name in node.output:
            wanted = _bytes_for_an_image(name, facts)
            if wanted > most:
                raise ExportError(
                    f"tensor {name!r} of the model, from operator {node.op_type!r}, takes "
                    f"{wanted >> 20} MiB of memory for one image, and there are {most >> 20}",
                    hint="export the classifier again, without what makes that tensor",
                )
            steps = _size_for_an_image(name, facts) * _window(node, facts)
            if steps > _MOST_STEPS:
                raise ExportError(
                    f"tensor {name!r} of the model, from operator {node.op_type!r}, takes "
                    f"{steps:.0e} steps for one image, expected at most {_MOST_STEPS:.0e}",
                    hint="export the classifier again, with smaller windows",
                )


def _bytes_for_an_image(name: str, facts: Facts) -> int:
    """At least; 0 where a size is not known."""
    kind = facts.elem_type(name)
    # Of an unknown type, or a text, an element has a byte at least.
    width = int(helper.tensor_dtype_to_np_dtype(kind).itemsize) if kind in _NUMBERS else 1
    return width * _size_for_an_image(name, facts)


def _size_for_an_image(name: str, facts: Facts) -> int:
    """Elements, at least; 0 where a size is not known."""
    extents = facts.extents(name) or ()
    first, second = (_elements([pair[side] for pair in extents]) for side in (0, 1))
    return first if first == second else first // PROBED_BATCHES[0]


def _window(node: NodeProto, facts: Facts) -> int:
    """Numbers that each element of a convolution or pooling is computed from; else 1."""
    if node.op_type == "Conv":
        return _elements([size for size, _ in (facts.extents(node.input[1]) or ())[1:]])
    return math.prod(attribute(node, "kernel_shape", []))


def _elements(sizes: list[int | None]) -> int:
    return math.prod(size or 0 for size in sizes)
