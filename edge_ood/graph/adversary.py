"""Fast gradient sign images inside a graph: ID images that a classifier is led away from."""

import numpy as np
import onnx
from onnx import TensorProto

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.errors import ArtifactError
from edge_ood.graph.array import GraphArray, GraphBuilder
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_with_shapes,
    network_input_info,
    opset_of,
    record_classifier,
)
from edge_ood.graph.simplify import prune
from edge_ood.graph.wide_gradient import append_wide_gradient
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores._softmax import below_peak, log_total

__all__ = ["ADVERSARIAL", "FGSM_EPSILON", "adversary_of", "assemble_adversary"]

ADVERSARIAL = "adversarial"
FGSM_EPSILON = 0.05
"""Step in [0, 1] pixel units that reconstructions of the Mahalanobis paper use for its outliers."""

_LARGEST_PIXEL = 255


def assemble_adversary(
    classifier: onnx.ModelProto, preprocess: Preprocess, *, epsilon: float = FGSM_EPSILON
) -> onnx.ModelProto:
    """A graph from resized images to adversarial images, both uint8 (N, R, R, 3).

    Args:
        classifier: As `edge_ood.graph.network` describes it.
        preprocess: What leads from pixels to the classifier's input.
        epsilon: Length of the step in [0, 1] pixel units, rounded to whole grey levels.

    Raises:
        ExportError: If an operator of the network has no gradient rule; it is named.

    Source: Goodfellow, Shlens & Szegedy 2015, arXiv:1412.6572, section 4, with the predicted class
    in place of the true one, and pixels kept within their range.
    """
    builder = GraphBuilder()
    logits = record_classifier(builder, classifier, preprocess).logits
    return _adversary(builder, logits, preprocess, classifier, epsilon=epsilon)


def adversary_of(
    artifact: onnx.ModelProto, preprocess: Preprocess, *, epsilon: float = FGSM_EPSILON
) -> onnx.ModelProto:
    """As `assemble_adversary`, for the classifier inside a finished artefact.

    Raises:
        ArtifactError: If the graph lacks the tensor that enters the classifier, or the logits.
        ExportError: If an operator of the network has no gradient rule; it is named.
    """
    computed = {name for node in artifact.graph.node for name in node.output}
    missing = [name for name in (PREPROCESSED, "logits") if name not in computed]
    if missing:
        raise ArtifactError(
            f"the graph has no tensor {missing[0]!r}, which adversarial images are made with",
            hint="export it again",
        )
    builder = GraphBuilder(prefix=ADVERSARIAL)
    builder.nodes.extend(artifact.graph.node)
    builder.initializers.extend(artifact.graph.initializer)
    logits = GraphArray(builder, "logits")
    return _adversary(builder, logits, preprocess, artifact, epsilon=epsilon)


def _adversary(
    builder: GraphBuilder,
    logits: GraphArray,
    preprocess: Preprocess,
    source: onnx.ModelProto,
    *,
    epsilon: float,
) -> onnx.ModelProto:
    """The recorded classifier, led away from its prediction."""
    xp = GraphNamespace()
    loss = log_total(xp, below_peak(xp, logits))
    gradient = append_wide_gradient(
        builder,
        of=loss.name,
        wrt=PREPROCESSED,
        inputs=[network_input_info(PREPROCESSED, preprocess)],
        opset=opset_of(source),
    )
    level = np.float32(round(_LARGEST_PIXEL * epsilon))
    zero = builder.constant(0, np.float32)
    rises = builder.add("GreaterOrEqual", [gradient, zero])
    step = builder.add("Where", [rises, builder.constant(level), builder.constant(-level)])
    last = builder.add("Transpose", [step], perm=[0, 2, 3, 1])
    if preprocess.resized_px != preprocess.size_px:
        before, after = preprocess.centre.start, preprocess.resized_px - preprocess.centre.stop
        frame = builder.constant([0, before, before, 0, 0, after, after, 0], np.int64)
        last = builder.add("Pad", [last, frame])
    pixels = builder.add("Cast", [INPUT_NAME], to=TensorProto.FLOAT)
    moved = builder.add("Add", [pixels, last])
    kept = builder.add("Clip", [moved, zero, builder.constant(_LARGEST_PIXEL, np.float32)])
    builder.add("Cast", [kept], to=TensorProto.UINT8, name=ADVERSARIAL)
    size = preprocess.resized_px
    output = GraphOutput(ADVERSARIAL, TensorProto.UINT8, ("N", size, size, 3))
    return prune(build_with_shapes(builder, [output], source, preprocess), [ADVERSARIAL])
