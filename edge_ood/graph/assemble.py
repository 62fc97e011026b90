"""Classifier + preprocessing + heads + decision = artefact, as one ONNX graph.

    images -> crop, resize, normalise -> classifier -> heads -> p-values, decisions
    uint8 (N, H, W, 3)                   logits, logits_pair, features/<layer>

`classifier.onnx`, as `edge_ood.export` writes it, has one float32 input (N, 3, S, S) and these
outputs. Its own names get a prefix, so that nothing in it can collide with the contract's names.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_ood.calibration.threshold import Knots
from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder, GraphNamespace
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_model,
    build_with_shapes,
    opset_of,
    record_classifier,
    tail_of,
)
from edge_ood.graph.perturb import perturbed_outputs
from edge_ood.graph.simplify import prune
from edge_ood.preprocess import Preprocess
from edge_ood.scores import BoundHead, Outputs

__all__ = [
    "assemble",
    "assemble_reader",
    "assemble_scores",
    "keep_heads",
    "read_knots",
    "replace_knots",
]

_THRESHOLDS, _KNOTS, _WEIGHTS, _TOTAL = "thresholds", "knots", "knot_weights", "knot_total"


def assemble_reader(classifier: onnx.ModelProto, preprocess: Preprocess) -> onnx.ModelProto:
    """A graph from images to the classifier's own outputs, for fitting statistics."""
    builder = GraphBuilder()
    arrays = record_classifier(builder, classifier, preprocess).named()
    for name, array in arrays.items():
        builder.add("Identity", [array.name], name=name)
    features = [_float(name, classifier) for name in arrays]
    return build_with_shapes(builder, features, classifier, preprocess)


def assemble_scores(
    classifier: onnx.ModelProto, preprocess: Preprocess, heads: Sequence[BoundHead]
) -> onnx.ModelProto:
    """A graph from images to scores (N,) alone, one output per head, for choosing parameters."""
    builder = GraphBuilder()
    outputs = record_classifier(builder, classifier, preprocess)
    _record_scores(builder, outputs, heads, preprocess, opset_of(classifier))
    scores = [GraphOutput(head.name, TensorProto.FLOAT) for head in heads]
    return build_with_shapes(builder, scores, classifier, preprocess)


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
    outputs = record_classifier(builder, classifier, preprocess)
    builder.add("Identity", [outputs.logits.name], name="logits")
    builder.add("ArgMax", [outputs.logits.name], name="label", axis=1, keepdims=0)
    _record_scores(builder, outputs, heads, preprocess, opset_of(classifier))
    num_classes = tail_of(classifier, "logits")[0]
    _record_decision(builder, [head.name for head in heads], primary, num_classes)
    names = [head.name for head in heads]
    contract = _contract_outputs(names, num_classes)
    return build_with_shapes(builder, contract, classifier, preprocess)


def keep_heads(
    model: onnx.ModelProto, names: Sequence[str], wanted: Sequence[str], *, primary: str
) -> onnx.ModelProto:
    """An artefact that computes only some of its heads, and nothing that only others need.

    Args:
        model: An artefact; stays as it is.
        names: All its heads, in the order of its outputs.
        wanted: Some of them, `primary` included, in the same order.
        primary: The head that decides.

    Returns:
        A model with the same thresholds, knots and metadata.
    """
    pruned = prune(model, ["label", "logits", *wanted])
    builder = GraphBuilder(prefix="kept")
    builder.nodes.extend(pruned.graph.node)
    builder.initializers.extend(pruned.graph.initializer)
    num_classes = _initializer(model, _THRESHOLDS).dims[1]
    _record_decision(builder, wanted, primary, num_classes)
    kept = build_model(builder, _contract_outputs(wanted, num_classes), model)
    rows = [names.index(name) for name in wanted]
    for name in (_THRESHOLDS, _KNOTS):
        _set_initializer(kept, name, numpy_helper.to_array(_initializer(model, name))[rows])
    for name in (_WEIGHTS, _TOTAL):
        _set_initializer(kept, name, numpy_helper.to_array(_initializer(model, name)))
    kept.graph.value_info.extend(pruned.graph.value_info)
    kept.metadata_props.extend(model.metadata_props)
    return kept


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
    tail = _initializer(model, _WEIGHTS).dims[1:]
    _set_initializer(model, _WEIGHTS, knots[0].weights.reshape(-1, *tail))
    _set_initializer(model, _TOTAL, np.float32(knots[0].n + 1))


def read_knots(model: onnx.ModelProto) -> list[Knots]:
    """What `replace_knots` stored, one per head."""
    arrays = {
        name: numpy_helper.to_array(_initializer(model, name))
        for name in (_THRESHOLDS, _KNOTS, _WEIGHTS, _TOTAL)
    }
    return [
        Knots(values[0], arrays[_WEIGHTS].ravel(), float(row[0]), int(arrays[_TOTAL]) - 1)
        for values, row in zip(arrays[_KNOTS], arrays[_THRESHOLDS], strict=True)
    ]


def _record_scores(
    builder: GraphBuilder,
    outputs: Outputs,
    heads: Sequence[BoundHead],
    preprocess: Preprocess,
    opset: int,
) -> None:
    """Each head's scores (N,) under its name; heads that perturb read their own second pass."""
    _check_inputs(outputs, heads)
    for head in heads:
        read = outputs
        if head.epsilon:
            read = perturbed_outputs(
                builder,
                head,
                outputs,
                network_input=PREPROCESSED,
                preprocess=preprocess,
                opset=opset,
            )
        builder.call(head.score(GraphNamespace(), read).name, head.name)


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


def _record_decision(
    builder: GraphBuilder, names: Sequence[str], primary: str, num_classes: int
) -> None:
    """P-values and decisions of all heads at once, as a matrix (S, N)."""
    scores = builder.add("Concat", names, axis=0) if len(names) > 1 else names[0]
    by_head = builder.add("Reshape", [scores, builder.constant([len(names), -1], np.int64)])
    column = builder.add("Reshape", [scores, builder.constant([len(names), -1, 1], np.int64)])
    builder.initializer(_THRESHOLDS, np.full((len(names), num_classes), np.inf, np.float32))
    limits = builder.add("Gather", [_THRESHOLDS, "label"], axis=1)
    kept = builder.add("LessOrEqual", [by_head, limits])
    flagged = builder.add("Not", [kept])
    builder.initializer(_KNOTS, np.full((len(names), 1, 1), np.inf, np.float32))
    # A column: with a vector, onnxruntime takes twice to four times as long.
    builder.initializer(_WEIGHTS, np.ones((1, 1), np.float32))
    builder.initializer(_TOTAL, np.array(2, np.float32))
    reached = builder.add("LessOrEqual", [column, _KNOTS])
    counts = builder.add("MatMul", [builder.add("Cast", [reached], to=TensorProto.FLOAT), _WEIGHTS])
    above = builder.add("Add", [counts, builder.constant(1, np.float32)])
    pvalues = builder.add("Div", [above, _TOTAL])
    _record_rows(builder, pvalues, [f"{name}_pvalue" for name in names])
    _record_rows(builder, flagged, [f"{name}_is_ood" for name in names])
    builder.add("Identity", [f"{primary}_pvalue"], name="pvalue")
    builder.add("Identity", [f"{primary}_is_ood"], name="is_ood")


def _record_rows(builder: GraphBuilder, matrix: str, names: Sequence[str]) -> None:
    """Name the rows of a matrix (S, N): flat, they are S equal parts, which is one node."""
    flat = builder.add("Reshape", [matrix, builder.constant([-1], np.int64)])
    builder.nodes.append(
        helper.make_node("Split", [flat], names, name=names[0], axis=0, num_outputs=len(names))
    )


def _contract_outputs(heads: Sequence[str], num_classes: int) -> list[GraphOutput]:
    outputs = [
        GraphOutput("label", TensorProto.INT64),
        GraphOutput("is_ood", TensorProto.BOOL),
        GraphOutput("pvalue", TensorProto.FLOAT),
        GraphOutput("logits", TensorProto.FLOAT, ("N", num_classes)),
    ]
    for head in heads:
        outputs += [
            GraphOutput(head, TensorProto.FLOAT),
            GraphOutput(f"{head}_pvalue", TensorProto.FLOAT),
            GraphOutput(f"{head}_is_ood", TensorProto.BOOL),
        ]
    return outputs


def _float(name: str, classifier: onnx.ModelProto) -> GraphOutput:
    return GraphOutput(name, TensorProto.FLOAT, ("N", *tail_of(classifier, name)))


def _initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return tensor
    raise ExportError(f"the graph has no initializer {name!r}, so it is no edge-ood artefact")


def _set_initializer(model: onnx.ModelProto, name: str, array: Any) -> None:
    _initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(array), name))
