"""The classifier behind its preprocessing, as nodes: what every graph of an artefact begins with.

    images -> crop, resize, normalise -> classifier
    uint8 (N, H, W, 3)                   logits, logits_pair, features/<layer>

The classifier's own names get a prefix, so that nothing in it can collide with those of edge-ood.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, ValueInfoProto, helper

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.graph.array import OPSET, GraphArray, GraphBuilder
from edge_ood.graph.declare import declare_shapes
from edge_ood.images.preprocess import LONGEST_SIDE, Preprocess
from edge_ood.scores import FEATURES_PREFIX, Outputs

__all__ = [
    "CLASSIFIER_PREFIX",
    "IR_VERSION",
    "PREPROCESSED",
    "GraphOutput",
    "build_model",
    "build_with_shapes",
    "inner_output",
    "moved_output",
    "network_input_info",
    "opset_of",
    "record_classifier",
    "record_network",
    "second_pass",
    "tail_of",
]

IR_VERSION = 8
"""Newest IR version that onnxruntime 1.17 loads with opset 18."""

PREPROCESSED = "preprocessed"
"""Name of the tensor that enters the classifier, float32 (N, 3, S, S)."""

CLASSIFIER_PREFIX = "classifier/"
"""Goes before every name of the classifier, so that it cannot collide with those of edge-ood."""

_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
}
"""Attributes of `Resize` with which it computes what Pillow does; Pillow's cubic is Keys'."""


@dataclass(frozen=True)
class GraphOutput:
    """Name, element type and shape of a graph's output."""

    name: str
    dtype: int
    shape: tuple[Any, ...] = ("N",)


def inner_output(name: str) -> str | None:
    """Name of the classifier output that a tensor of the artefact is, or None if it is none."""
    bare = name.removeprefix(CLASSIFIER_PREFIX)
    is_output = bare in ("logits", "logits_pair") or bare.startswith(FEATURES_PREFIX)
    return bare if is_output and bare != name else None


def second_pass(head: str, output: str) -> str:
    """What the names of a head's second pass begin with, which it makes to read one output."""
    return f"{head}/{output}/"


def moved_output(head: str, output: str) -> str:
    """Name of a classifier output in the second pass that a head makes to read it."""
    return second_pass(head, output) + CLASSIFIER_PREFIX + output


def record_classifier(
    builder: GraphBuilder, classifier: onnx.ModelProto, preprocess: Preprocess
) -> Outputs:
    """Record preprocessing and classifier.

    Args:
        builder: Gets the nodes; `PREPROCESSED` is the tensor between the two.
        classifier: One float32 input (N, 3, S, S); outputs `logits` and others of `Outputs`.
        preprocess: What leads from a decoded frame to that input.

    Returns:
        The classifier's outputs as recorded arrays.
    """
    _record_preprocess(builder, preprocess)
    return record_network(builder, classifier)


def record_network(builder: GraphBuilder, classifier: onnx.ModelProto) -> Outputs:
    """Record the classifier alone, reading the tensor `PREPROCESSED`; see `record_classifier`."""
    # In-place surgery on a copy: the caller's model stays as it is.
    inner = onnx.compose.add_prefix(classifier, CLASSIFIER_PREFIX)
    (entry,) = [value.name for value in inner.graph.input]
    for node in inner.graph.node:
        for position, name in enumerate(node.input):
            if name == entry:
                node.input[position] = PREPROCESSED
    builder.nodes.extend(inner.graph.node)
    builder.initializers.extend(inner.graph.initializer)
    names = [output.name for output in inner.graph.output]
    return Outputs.from_named(
        {name.removeprefix(CLASSIFIER_PREFIX): GraphArray(builder, name) for name in names}
    )


def _record_preprocess(builder: GraphBuilder, preprocess: Preprocess) -> None:
    """From uint8 (N, H, W, 3) to float32 (N, 3, S, S), as `Preprocess` does with Pillow."""
    frame = INPUT_NAME
    if preprocess.resize == "center-crop":
        frame = _record_middle(builder, frame, LONGEST_SIDE if preprocess.cuts_last else 1)
    size = _record_size(builder, frame, preprocess)
    resized = builder.add(
        "Resize",
        [frame, "", "", size],
        **_FILTERS[preprocess.interpolation],
        antialias=1,
        exclude_outside=1,
        coordinate_transformation_mode="half_pixel",
        axes=[1, 2],
    )
    if preprocess.resized_px != preprocess.size_px:
        start, end = _record_bounds(builder, size, preprocess)
        resized = builder.add("Slice", [resized, start, end, builder.constant([1, 2], np.int64)])
    planes = builder.add("Transpose", [resized], perm=[0, 3, 1, 2])
    pixels = builder.add("Cast", [planes], to=TensorProto.FLOAT)
    mean = np.array(preprocess.mean).reshape(3, 1, 1)
    std = np.array(preprocess.std).reshape(3, 1, 1)
    centred = builder.add("Sub", [pixels, builder.constant(255 * mean, np.float32)])
    scale = builder.constant(1 / (255 * std), np.float32)
    builder.add("Mul", [centred, scale], name=PREPROCESSED)


def _record_middle(builder: GraphBuilder, frame: str, longest: int) -> str:
    """The frame, and of a long side beyond so many short ones the middle."""
    shape, kept = _record_sides(builder, frame)
    if longest > 1:
        kept = shape.apply("Min", kept * longest)
    start = (shape - kept) / [2]
    end = start + kept
    axes = builder.constant([1, 2], np.int64)
    return builder.add("Slice", [frame, start.name, end.name, axes])


def _record_size(builder: GraphBuilder, frame: str, preprocess: Preprocess) -> str:
    """Height and width to resize to: R x R, or R and what the long side becomes with it."""
    side = preprocess.resized_px
    if not preprocess.cuts_last:
        return builder.constant([side, side], np.int64)
    shape, short = _record_sides(builder, frame)
    return (shape * side / short).name


def _record_bounds(builder: GraphBuilder, size: str, preprocess: Preprocess) -> tuple[str, str]:
    """Where the network's part of a resized frame starts and ends, down and across."""
    if not preprocess.cuts_last:
        centre = preprocess.centre
        start, end = (builder.constant([v, v], np.int64) for v in (centre.start, centre.stop))
        return start, end
    margin = GraphArray(builder, size, np.int64) - preprocess.size_px
    # A margin of 2 k + 1 is halved to k + 1 if k is odd; adding 1 to an even one has no effect.
    to_even = (margin / 2).apply("Mod", 2)
    first = (margin + to_even) / 2
    return first.name, (first + preprocess.size_px).name


def _record_sides(builder: GraphBuilder, frame: str) -> tuple[GraphArray, GraphArray]:
    """Height and width of a frame, and the smaller of them; arithmetic on them rounds down."""
    shape = GraphArray(builder, builder.add("Shape", [frame], start=1, end=3), np.int64)
    return shape, shape.apply("ReduceMin", keepdims=1)


def build_model(
    builder: GraphBuilder,
    outputs: Sequence[GraphOutput],
    classifier: onnx.ModelProto,
    *,
    entry: ValueInfoProto | None = None,
) -> onnx.ModelProto:
    """The recorded nodes as a checked model, in the versions that the classifier needs.

    Its input is raw images, or `entry`.
    """
    images = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["N", "H", "W", 3])
    graph = helper.make_graph(
        builder.nodes,
        "edge_ood",
        [images if entry is None else entry],
        [helper.make_tensor_value_info(o.name, o.dtype, list(o.shape)) for o in outputs],
        builder.initializers,
    )
    imports = [helper.make_opsetid("", opset_of(classifier))]
    model = helper.make_model(
        graph,
        opset_imports=imports,
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for(imports)),
        producer_name="edge-ood",
    )
    onnx.checker.check_model(model)
    return model


def build_with_shapes(
    builder: GraphBuilder,
    outputs: Sequence[GraphOutput],
    classifier: onnx.ModelProto,
    preprocess: Preprocess,
) -> onnx.ModelProto:
    """As `build_model`, with the shapes of all feature maps declared for fast runtimes."""
    model = build_model(builder, outputs, classifier)
    declare_shapes(model, [network_input_info(PREPROCESSED, preprocess)])
    return model


def network_input_info(name: str, preprocess: Preprocess) -> ValueInfoProto:
    """Type and shape (N, 3, S, S) of the tensor that enters the network."""
    size = preprocess.size_px
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, size, size])


def opset_of(classifier: onnx.ModelProto) -> int:
    """Opset of a graph around this classifier."""
    return max([OPSET, *(int(e.version) for e in classifier.opset_import if e.domain == "")])


def tail_of(classifier: onnx.ModelProto, name: str) -> list[int]:
    """Static dimensions after the batch of one of the classifier's outputs."""
    (value,) = [o for o in classifier.graph.output if o.name == name]
    return [d.dim_value for d in value.type.tensor_type.shape.dim[1:]]
