"""Classifier + preprocessing + heads + decision = artefact, as one ONNX graph.

    images -> crop, resize, normalise -> classifier -> heads -> p-values, decisions
    uint8 (N, H, W, 3)                   logits, logits_pair, features/<layer>

`classifier.onnx`, as `edge_ood.torch_export.export` writes it, has one float32 input (N, 3, S, S)
and these outputs. Its own names get a prefix, so that nothing in it can collide with the contract's
names.
"""

from collections.abc import Sequence

import onnx
from onnx import TensorProto

from edge_ood.calibration.decision import Decision
from edge_ood.calibration.guarantee import NOTHING_COMBINED, Guarantee
from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.decision import with_decision
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_with_shapes,
    opset_of,
    record_classifier,
    tail_of,
)
from edge_ood.graph.perturb import perturbed_outputs
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import BoundHead, Outputs

__all__ = ["assemble", "assemble_reader", "assemble_scores"]


def assemble_reader(
    classifier: onnx.ModelProto, preprocess: Preprocess, moving: BoundHead | None = None
) -> onnx.ModelProto:
    """A graph from images to the classifier's own outputs, for fitting statistics.

    Those that the head `moving` reads of moved images are there, too, by names of `moved_output`.
    """
    builder = GraphBuilder()
    outputs = record_classifier(builder, classifier, preprocess)
    arrays = outputs.named()
    for name, array in arrays.items():
        builder.add("Identity", [array.name], name=name)
    results = [_float(name, classifier, name) for name in arrays]
    if moving is not None:
        again = _moved(builder, outputs, moving, preprocess, opset_of(classifier)).named()
        results += [
            _float(array.name, classifier, name)
            for name, array in again.items()
            if array.name != arrays[name].name
        ]
    return build_with_shapes(builder, results, classifier, preprocess)


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
    guarantee: Guarantee = NOTHING_COMBINED,
) -> onnx.ModelProto:
    """The artefact's graph, not yet calibrated: it flags nothing.

    Args:
        classifier: Input (N, 3, S, S); outputs `logits`, and those that the heads read.
        preprocess: What leads from a decoded frame to the classifier's input.
        heads: One or more, with parameters and statistics; the order of the outputs.
        primary: Name of the score whose p-value and decision are `pvalue` and `is_ood`.
        guarantee: Says whether there is a combined score, too, and of which heads.

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
    names = [head.name for head in heads]
    num_classes = tail_of(classifier, "logits")[0]
    scored = [
        GraphOutput("label", TensorProto.INT64),
        GraphOutput("logits", TensorProto.FLOAT, ("N", num_classes)),
        *(GraphOutput(name, TensorProto.FLOAT) for name in names),
    ]
    model = build_with_shapes(builder, scored, classifier, preprocess)
    decision = Decision.none(names, num_classes, guarantee)
    return with_decision(model, decision, primary=primary)


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
        read = _moved(builder, outputs, head, preprocess, opset) if head.epsilon else outputs
        builder.call(head.score(GraphNamespace(), read).name, head.name)


def _moved(
    builder: GraphBuilder, outputs: Outputs, head: BoundHead, preprocess: Preprocess, opset: int
) -> Outputs:
    """Outputs, those that the head perturbs from a second pass under names of `moved_output`."""
    return perturbed_outputs(
        builder,
        head,
        outputs,
        network_input=PREPROCESSED,
        preprocess=preprocess,
        opset=opset,
    )


def _check_inputs(outputs: Outputs, heads: Sequence[BoundHead]) -> None:
    for head in heads:
        for name in head.inputs:
            value = getattr(outputs, name)
            if value is None or (isinstance(value, dict) and not value):
                hint = "train with --heads 2, or leave it out of --scores"
                raise ExportError(
                    f"score head {head.name!r} reads {name!r}, which this classifier does not give",
                    hint=hint if name == "logits_pair" else f"leave {head.name!r} out of --scores",
                )


def _float(name: str, classifier: onnx.ModelProto, output: str) -> GraphOutput:
    """A tensor like one of the classifier's outputs."""
    return GraphOutput(name, TensorProto.FLOAT, ("N", *tail_of(classifier, output)))
