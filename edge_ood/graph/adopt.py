"""Somebody else's classifier, between nodes that make it one of edge-ood.

input -> channels, layout, type -> the network as it is -> logits, features/<layer>
float32 (N, 3, S, S), RGB                                  (N, K)  (N, D)
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_ood.errors import InputError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.draft import finish, start
from edge_ood.graph.endings import Ending
from edge_ood.graph.intake import ImageInput
from edge_ood.graph.known import FLOATS, Graph, shown_shape
from edge_ood.graph.shapes import PROBED_BATCHES, Extents
from edge_ood.scores import FEATURES_PREFIX

__all__ = ["CHANNELS", "adopt", "channel_matrix"]

CHANNELS = ("rgb", "bgr", "gray")

_LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue as Pillow weighs them, ITU-R 601-2; it also rounds, we do not."""

_LEAST_PROBABILITY = 1e-30
"""Keeps the logarithm finite where float32 rounded a probability to zero."""

_PREFIX = "foreign/"
_ENTRY = "input"
_BATCH = "N"


def adopt(
    model: onnx.ModelProto,
    entry: ImageInput,
    ending: Ending,
    *,
    channels: str = "rgb",
    probabilities: bool = False,
) -> onnx.ModelProto:
    """A classifier as `edge_ood.graph.assemble` describes it.

    Args:
        model: As `edge_ood.graph.intake.normal_form` gives it; stays as it is.
        entry: Its input.
        ending: Its outputs.
        channels: What it takes: `rgb`, `bgr` or `gray`.
        probabilities: Its output holds probabilities that nothing in the graph gives the logits
            of; their logarithms take that place.

    Returns:
        A model with input (N, 3, S, S), normalised RGB, and outputs `logits` (N, K) and
        `features/<layer>` (N, D). One number an image, z, becomes logits [0, z].
    """
    prefixed = onnx.compose.add_prefix(model, _PREFIX)
    draft = start(prefixed)
    graph = Graph(draft, draft.facts())
    builder = GraphBuilder(prefix="adopted")
    _record_front(builder, entry, channels)
    front = len(builder.nodes)
    source = ending.output if probabilities else ending.logits
    width = builder.constant([-1, ending.width], np.int64)
    rows = builder.add("Reshape", [_PREFIX + source, width])
    _record_logits(builder, _float32(builder, graph, rows, source), ending.width, probabilities)
    shapes = {"logits": max(2, ending.width)}
    for layer, tensor in ending.features.items():
        name = FEATURES_PREFIX + layer
        shapes[name] = _record_features(builder, graph, tensor, entry.layout, name)
    draft.nodes = [*builder.nodes[:front], *draft.nodes, *builder.nodes[front:]]
    draft.weights |= {tensor.name: tensor for tensor in builder.initializers}
    draft.inputs = {
        _ENTRY: helper.make_tensor_value_info(
            _ENTRY, TensorProto.FLOAT, [_BATCH, 3, entry.size_px, entry.size_px]
        )
    }
    adopted = finish(prefixed, draft)
    del adopted.graph.output[:]
    adopted.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [_BATCH, width])
        for name, width in shapes.items()
    )
    del adopted.metadata_props[:]
    return adopted


def channel_matrix(channels: str, count: int) -> NDArray[np.float64]:
    """What a network's `count` channels are of red, green and blue, (count, 3); rows sum to 1."""
    if channels == "gray":
        return np.tile(_LUMA, (count, 1))
    rows = np.eye(3) if channels == "rgb" else np.eye(3)[::-1]
    return rows[:count]


def _record_front(builder: GraphBuilder, entry: ImageInput, channels: str) -> None:
    """From normalised RGB to what the network takes, under the name of its input."""
    matrix = channel_matrix(channels, entry.channels)
    current = _ENTRY
    if not np.array_equal(matrix, np.eye(3)):
        weights = builder.constant(matrix[:, :, None, None], np.float32)
        current = builder.add("Conv", [current, weights], name="adopted/channels")
    if entry.layout == "nhwc":
        current = builder.add("Transpose", [current], name="adopted/layout", perm=[0, 2, 3, 1])
    if entry.elem_type == TensorProto.UINT8:  # a cast cuts off: 254.99999 would become 254
        current = builder.add("Round", [current], name="adopted/rounded")
    if entry.elem_type != TensorProto.FLOAT:
        current = builder.add("Cast", [current], name="adopted/type", to=entry.elem_type)
    builder.add("Identity", [current], name=_PREFIX + entry.name)


def _float32(builder: GraphBuilder, graph: Graph, name: str, source: str) -> str:
    if graph.facts.elem_type(_PREFIX + source) == TensorProto.FLOAT:
        return name
    return builder.add("Cast", [name], to=TensorProto.FLOAT)


def _record_logits(builder: GraphBuilder, rows: str, width: int, probabilities: bool) -> None:
    """Rows (N, K), or (N, 1) for yes or no, under the name `logits`."""
    if not probabilities:
        if width == 1:
            builder.add("MatMul", [rows, builder.constant([[0, 1]], np.float32)], name="logits")
        else:
            builder.add("Identity", [rows], name="logits")
        return
    if width == 1:
        other = builder.add("Sub", [builder.constant(1, np.float32), rows])
        rows = builder.add("Concat", [other, rows], axis=1)
    kept = builder.add("Max", [rows, builder.constant(_LEAST_PROBABILITY, np.float32)])
    builder.add("Log", [kept], name="logits")


def _record_features(
    builder: GraphBuilder, graph: Graph, tensor: str, layout: str, name: str
) -> int:
    """One row (N, D) an image, averaged over space; returns D."""
    source = _PREFIX + tensor
    width = graph.width(source)
    extents = graph.extents(source) or ()
    if graph.facts.elem_type(source) not in FLOATS or not extents or extents[0] != PROBED_BATCHES:
        raise _no_features(tensor, extents)
    current = _float32(builder, graph, source, tensor)
    if width is None:
        space, width = _space(tensor, extents, layout)
        axes = builder.constant(space, np.int64)
        current = builder.add("ReduceMean", [current, axes], keepdims=0)
    builder.add("Reshape", [current, builder.constant([-1, width], np.int64)], name=name)
    return width


def _space(tensor: str, extents: Extents, layout: str) -> tuple[list[int], int]:
    """Axes of space of maps or tokens (N, T, D), and the number of channels.

    Equal sides tell (N, H, W, C) from (N, C, H, W); where all three are equal, the input's layout
    does.
    """
    sizes = [first for first, second in extents if first == second]
    if len(extents) not in (3, 4) or len(sizes) != len(extents) - 1 or None in sizes:
        raise _no_features(tensor, extents)
    if len(extents) == 3:
        return [1], sizes[1] or 0
    first, middle, last = sizes
    channels_last = layout == "nhwc" if first == middle == last else first == middle
    return ([1, 2], last or 0) if channels_last else ([2, 3], first or 0)


def _no_features(tensor: str, extents: Extents) -> InputError:
    return InputError(
        f"--features {tensor} is {shown_shape(extents or None)}, expected (N, D), maps or tokens",
        hint="name a float tensor with one row, map or sequence an image",
    )
