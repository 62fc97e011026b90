"""Classifier + preprocessing + heads + decision = artefact, as one ONNX graph.

    images -> crop, resize, normalise -> classifier -> heads -> p-values, decisions
    uint8 (N, H, W, 3)                   logits, logits_pair, features/<layer>

`classifier.onnx`, as `edge_ood.export` writes it, has one float32 input (N, 3, S, S) and these
outputs. Its own names get a prefix, so that nothing in it can collide with the contract's names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_ood.calibration.threshold import Knots
from edge_ood.errors import ExportError
from edge_ood.graph.array import OPSET, GraphArray, GraphBuilder, GraphNamespace
from edge_ood.preprocess import Preprocess
from edge_ood.scores import BoundHead, Outputs

__all__ = [
    "FEATURES_PREFIX",
    "INPUT_NAME",
    "IR_VERSION",
    "PREPROCESSED",
    "assemble",
    "assemble_reader",
    "inner_output",
    "read_knots",
    "replace_knots",
]

IR_VERSION = 8
"""Newest IR version that onnxruntime 1.17 loads with opset 18."""

INPUT_NAME = "images"
PREPROCESSED = "preprocessed"
"""Name of the tensor that enters the classifier, float32 (N, 3, S, S)."""

FEATURES_PREFIX = "features/"
_CLASSIFIER_PREFIX = "classifier/"
_THRESHOLDS, _KNOTS, _WEIGHTS, _TOTAL = "thresholds", "knots", "knot_weights", "knot_total"


@dataclass(frozen=True)
class _Output:
    name: str
    dtype: int
    shape: tuple[Any, ...] = ("N",)


def assemble_reader(classifier: onnx.ModelProto, preprocess: Preprocess) -> onnx.ModelProto:
    """A graph from images to the classifier's own outputs, for fitting statistics."""
    builder = GraphBuilder()
    names = _record_classifier(builder, classifier, preprocess)
    for name, inner in names.items():
        builder.add("Identity", [inner], name=name)
    outputs = [_Output(name, TensorProto.FLOAT, ("N", *_tail(classifier, name))) for name in names]
    return _model(builder, outputs, classifier)


def assemble(
    classifier: onnx.ModelProto,
    preprocess: Preprocess,
    heads: Sequence[BoundHead],
    *,
    primary: str,
) -> onnx.ModelProto:
    """The artefact's graph, not yet calibrated: `replace_knots` puts thresholds into it.

    Args:
        classifier: Input (N, 3, S, S); outputs `logits`, and those that the heads read.
        preprocess: What leads from a decoded frame to the classifier's input.
        heads: One or more, with parameters and statistics; the order of the outputs.
        primary: Name of the head whose p-value and decision are `pvalue` and `is_ood`.

    Returns:
        The model with the outputs of the artefact contract.

    Raises:
        ExportError: If the classifier lacks an output that a head reads.
    """
    builder = GraphBuilder()
    names = _record_classifier(builder, classifier, preprocess)
    outputs = _outputs(builder, names)
    _check_inputs(outputs, heads)
    builder.add("Identity", [names["logits"]], name="logits")
    builder.add("ArgMax", [names["logits"]], name="label", axis=1, keepdims=0)
    xp = GraphNamespace()
    for head in heads:
        builder.add("Identity", [head.score(xp, outputs).name], name=head.name)
    num_classes = _tail(classifier, "logits")[0]
    _record_decision(builder, [head.name for head in heads], num_classes)
    builder.add("Identity", [f"{primary}_pvalue"], name="pvalue")
    builder.add("Identity", [f"{primary}_is_ood"], name="is_ood")
    return _model(builder, _contract_outputs(heads, num_classes), classifier)


def inner_output(name: str) -> str | None:
    """Name of the classifier output that a tensor of the artefact is, or None if it is none."""
    bare = name.removeprefix(_CLASSIFIER_PREFIX)
    is_output = bare in ("logits", "logits_pair") or bare.startswith(FEATURES_PREFIX)
    return bare if is_output and bare != name else None


def replace_knots(model: onnx.ModelProto, knots: Sequence[Knots]) -> None:
    """Put thresholds and p-value knots into an artefact's graph, in place.

    Args:
        model: An assembled artefact.
        knots: One per head, in the order of the heads' outputs, with equal n and weights.
    """
    num_classes = _initializer(model, _THRESHOLDS).dims[1]
    thresholds = np.array([[k.threshold] * num_classes for k in knots], np.float32)
    _set_initializer(model, _THRESHOLDS, thresholds)
    _set_initializer(model, _KNOTS, np.stack([k.values for k in knots])[:, None, :])
    _set_initializer(model, _WEIGHTS, knots[0].weights)
    _set_initializer(model, _TOTAL, np.float32(knots[0].n + 1))


def read_knots(model: onnx.ModelProto) -> list[Knots]:
    """What `replace_knots` stored, one per head."""
    arrays = {
        name: numpy_helper.to_array(_initializer(model, name))
        for name in (_THRESHOLDS, _KNOTS, _WEIGHTS, _TOTAL)
    }
    return [
        Knots(values[0], arrays[_WEIGHTS], float(row[0]), int(arrays[_TOTAL]) - 1)
        for values, row in zip(arrays[_KNOTS], arrays[_THRESHOLDS], strict=True)
    ]


def _record_classifier(
    builder: GraphBuilder, classifier: onnx.ModelProto, preprocess: Preprocess
) -> dict[str, str]:
    """Record preprocessing and classifier; returns the inner name of each classifier output."""
    _record_preprocess(builder, preprocess)
    # In-place surgery on a copy: the caller's model stays as it is.
    inner = onnx.compose.add_prefix(classifier, _CLASSIFIER_PREFIX)
    (entry,) = [value.name for value in inner.graph.input]
    for node in inner.graph.node:
        for position, name in enumerate(node.input):
            if name == entry:
                node.input[position] = PREPROCESSED
    builder.nodes.extend(inner.graph.node)
    builder.initializers.extend(inner.graph.initializer)
    return {o.name.removeprefix(_CLASSIFIER_PREFIX): o.name for o in inner.graph.output}


def _record_preprocess(builder: GraphBuilder, preprocess: Preprocess) -> None:
    """From uint8 (N, H, W, 3) to float32 (N, 3, S, S), as `Preprocess` does with Pillow."""
    frame = INPUT_NAME
    if preprocess.resize == "center-crop":
        frame = _record_central_square(builder, frame)
    size = builder.constant([preprocess.size_px] * 2, np.int64)
    resized = builder.add(
        "Resize",
        [frame, "", "", size],
        mode="linear",
        antialias=1,
        exclude_outside=1,
        coordinate_transformation_mode="half_pixel",
        axes=[1, 2],
    )
    planes = builder.add("Transpose", [resized], perm=[0, 3, 1, 2])
    pixels = builder.add("Cast", [planes], to=TensorProto.FLOAT)
    mean = np.array(preprocess.mean).reshape(3, 1, 1)
    std = np.array(preprocess.std).reshape(3, 1, 1)
    centred = builder.add("Sub", [pixels, builder.constant(255 * mean, np.float32)])
    scale = builder.constant(1 / (255 * std), np.float32)
    builder.add("Mul", [centred, scale], name=PREPROCESSED)


def _record_central_square(builder: GraphBuilder, frame: str) -> str:
    shape = builder.add("Shape", [frame], start=1, end=3)
    side = builder.add("ReduceMin", [shape], keepdims=1)
    margin = builder.add("Sub", [shape, side])
    start = builder.add("Div", [margin, builder.constant([2], np.int64)])
    end = builder.add("Add", [start, side])
    return builder.add("Slice", [frame, start, end, builder.constant([1, 2], np.int64)])


def _outputs(builder: GraphBuilder, names: Mapping[str, str]) -> Outputs:
    arrays = {name: GraphArray(builder, inner) for name, inner in names.items()}
    features = {
        name.removeprefix(FEATURES_PREFIX): array
        for name, array in arrays.items()
        if name.startswith(FEATURES_PREFIX)
    }
    return Outputs(arrays.get("logits"), arrays.get("logits_pair"), features)


def _check_inputs(outputs: Outputs, heads: Sequence[BoundHead]) -> None:
    for head in heads:
        for name in head.head.inputs:
            value = getattr(outputs, name)
            if value is None or (isinstance(value, dict) and not value):
                hint = "train with --heads 2, or leave it out of --scores"
                raise ExportError(
                    f"score head {head.name!r} reads {name!r}, which this classifier does not give",
                    hint=hint if name == "logits_pair" else f"leave {head.name!r} out of --scores",
                )


def _record_decision(builder: GraphBuilder, names: Sequence[str], num_classes: int) -> None:
    """P-values and decisions of all heads at once, as a matrix (S, N)."""
    first_axis = builder.constant([0], np.int64)
    rows = [builder.add("Unsqueeze", [name, first_axis]) for name in names]
    scores = builder.add("Concat", rows, axis=0)
    builder.initializer(_THRESHOLDS, np.full((len(names), num_classes), np.inf, np.float32))
    limits = builder.add("Gather", [_THRESHOLDS, "label"], axis=1)
    kept = builder.add("LessOrEqual", [scores, limits])
    flagged = builder.add("Not", [kept])
    builder.initializer(_KNOTS, np.full((len(names), 1, 1), np.inf, np.float32))
    builder.initializer(_WEIGHTS, np.ones(1, np.float32))
    builder.initializer(_TOTAL, np.array(2, np.float32))
    column = builder.add("Unsqueeze", [scores, builder.constant([2], np.int64)])
    reached = builder.add("LessOrEqual", [column, _KNOTS])
    counts = builder.add("MatMul", [builder.add("Cast", [reached], to=TensorProto.FLOAT), _WEIGHTS])
    above = builder.add("Add", [counts, builder.constant(1, np.float32)])
    pvalues = builder.add("Div", [above, _TOTAL])
    for row, name in enumerate(names):
        position = builder.constant(row, np.int64)
        builder.add("Gather", [pvalues, position], axis=0, name=f"{name}_pvalue")
        builder.add("Gather", [flagged, position], axis=0, name=f"{name}_is_ood")


def _contract_outputs(heads: Sequence[BoundHead], num_classes: int) -> list[_Output]:
    outputs = [
        _Output("label", TensorProto.INT64),
        _Output("is_ood", TensorProto.BOOL),
        _Output("pvalue", TensorProto.FLOAT),
        _Output("logits", TensorProto.FLOAT, ("N", num_classes)),
    ]
    for head in heads:
        outputs += [
            _Output(head.name, TensorProto.FLOAT),
            _Output(f"{head.name}_pvalue", TensorProto.FLOAT),
            _Output(f"{head.name}_is_ood", TensorProto.BOOL),
        ]
    return outputs


def _model(
    builder: GraphBuilder, outputs: Sequence[_Output], classifier: onnx.ModelProto
) -> onnx.ModelProto:
    graph = helper.make_graph(
        builder.nodes,
        "edge_ood",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info(o.name, o.dtype, list(o.shape)) for o in outputs],
        builder.initializers,
    )
    opset = max([OPSET, *(e.version for e in classifier.opset_import if e.domain == "")])
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph,
        opset_imports=imports,
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for(imports)),
        producer_name="edge-ood",
    )
    onnx.checker.check_model(model)
    return model


def _tail(classifier: onnx.ModelProto, name: str) -> list[int]:
    """Static dimensions after the batch of one of the classifier's outputs."""
    (value,) = [o for o in classifier.graph.output if o.name == name]
    return [d.dim_value for d in value.type.tensor_type.shape.dim[1:]]


def _initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return tensor
    raise ExportError(f"the graph has no initializer {name!r}, so it is no edge-ood artefact")


def _set_initializer(model: onnx.ModelProto, name: str, array: Any) -> None:
    _initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(array), name))
