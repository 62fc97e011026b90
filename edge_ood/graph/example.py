"""An artefact of scores alone, which reads what a network would give: it costs what they cost.

    images -> split -> heads -> p-values, decisions
    float32 (N, D + 2 K)       features (N, D), logits_pair (N, 2, K), logits (N, K)

Scores are timed without a network's noise, and their bytes counted without its weights.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.calibration.decision import fit_decision
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.graph.array import GraphArray, GraphBuilder
from edge_ood.graph.decision import with_decision
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.graph.network import GraphOutput, build_model
from edge_ood.scores import PENULTIMATE, BoundHead, Outputs
from edge_ood.scores._example import ExampleLayer

__all__ = ["assemble_example", "example_rows"]

_CALIBRATION_IMAGES = 5000
"""As many as fill the tables of p-values."""


def assemble_example(layer: ExampleLayer, heads: Sequence[BoundHead]) -> onnx.ModelProto:
    """An artefact that reads rows of `example_rows` in place of images.

    Args:
        layer: Gives the sizes.
        heads: One or more that do not perturb, with statistics of the layer's images.

    Returns:
        A model with input and outputs under the names of the artefact contract, decided by the
        first head. Thresholds come from random numbers.
    """
    builder = GraphBuilder()
    outputs = _record_rows(builder, layer)
    names = [head.name for head in heads]
    for head in heads:
        builder.call(head.score(GraphNamespace(), outputs).name, head.name)
    scored = [
        GraphOutput("label", TensorProto.INT64),
        GraphOutput("logits", TensorProto.FLOAT, ("N", layer.num_classes)),
        *(GraphOutput(name, TensorProto.FLOAT) for name in names),
    ]
    entry = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["N", sum(_widths(layer))])
    model = build_model(builder, scored, onnx.ModelProto(), entry=entry)
    scores = np.random.default_rng(0).normal(size=_CALIBRATION_IMAGES).astype(np.float32)
    labels = np.zeros(_CALIBRATION_IMAGES, np.int64)
    by_head = dict.fromkeys(names, scores)
    decision = fit_decision(by_head, labels, layer.num_classes, Guarantee())
    return with_decision(model, decision, primary=names[0])


def example_rows(outputs: Outputs) -> NDArray[np.float32]:
    """What the layer gave for N images, as one row (D + 2 K) each."""
    (features,) = outputs.features.values()
    return np.hstack([features, *outputs.logits_pair.swapaxes(0, 1)]).astype(np.float32)


def _widths(layer: ExampleLayer) -> tuple[int, int]:
    return layer.width, 2 * layer.num_classes


def _record_rows(builder: GraphBuilder, layer: ExampleLayer) -> Outputs:
    """Rows taken apart, and the class."""
    sizes = builder.constant(_widths(layer), np.int64)
    features, rest = builder.add_all("Split", [INPUT_NAME, sizes], 2, axis=1)
    pair = builder.add("Reshape", [rest, builder.constant([-1, 2, layer.num_classes], np.int64)])
    axes = builder.constant([1], np.int64)
    logits = builder.add("ReduceMean", [pair, axes], name="logits", keepdims=0)
    builder.add("ArgMax", [logits], name="label", axis=1, keepdims=0)
    recorded = [GraphArray(builder, name) for name in (logits, pair, features)]
    return Outputs(recorded[0], recorded[1], {PENULTIMATE: recorded[2]})
