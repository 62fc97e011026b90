"""A classifier whose outputs are those of perturbed images, as one graph of its own."""

import onnx
from onnx import TensorProto

from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.network import (
    PREPROCESSED,
    GraphOutput,
    build_model,
    network_input_info,
    opset_of,
    record_network,
    tail_of,
)
from edge_ood.graph.perturb import perturbed_outputs
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import BoundHead

__all__ = ["output_names", "with_second_pass"]


def output_names(classifier: onnx.ModelProto) -> list[str]:
    """`logits`, `features/<layer>` and the like, in order."""
    return [output.name for output in classifier.graph.output]


def with_second_pass(
    classifier: onnx.ModelProto, head: BoundHead, preprocess: Preprocess
) -> onnx.ModelProto:
    """A model with the classifier's outputs, those that a head perturbs from its second pass.

    Args:
        classifier: As `edge_ood.graph.assemble` describes it.
        head: Declares losses and `epsilon`.
        preprocess: Of the input (N, 3, S, S), which keeps its place.

    Returns:
        A model whose outputs have names of their own, in the order of the classifier's.

    Raises:
        ExportError: If an operator of the network has no gradient rule.
    """
    builder = GraphBuilder()
    moved = perturbed_outputs(
        builder,
        head,
        record_network(builder, classifier),
        network_input=PREPROCESSED,
        preprocess=preprocess,
        opset=opset_of(classifier),
    )
    named = moved.named()
    results = [
        GraphOutput(
            builder.add("Identity", [named[name].name]),
            TensorProto.FLOAT,
            ("N", *tail_of(classifier, name)),
        )
        for name in output_names(classifier)
    ]
    entry = network_input_info(PREPROCESSED, preprocess)
    return build_model(builder, results, classifier, entry=entry)
