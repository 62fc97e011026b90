"""Scores on perturbed images inside the graph: `x - epsilon * sign(gradient of a loss per image)`.

A head that declares a `perturbation` gives one loss for each classifier output it wants to read
from a perturbed image. Each gets its own gradient and its own second pass; all heads share the
first pass.
"""

from typing import Any

import numpy as np

from edge_ood.graph.array import GraphArray, GraphBuilder
from edge_ood.graph.gradient import append_replay
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.graph.network import network_input_info, second_pass
from edge_ood.graph.step import append_step
from edge_ood.graph.wide_gradient import append_wide_gradient
from edge_ood.images.preprocess import Preprocess
from edge_ood.scores import BoundHead, Outputs

__all__ = ["perturbed_outputs"]


def perturbed_outputs(
    builder: GraphBuilder,
    head: BoundHead,
    outputs: Outputs,
    *,
    network_input: str,
    preprocess: Preprocess,
    opset: int,
) -> Outputs:
    """Outputs as they are on images moved against the head's own losses.

    Args:
        builder: Holds the first pass; gets gradients and second passes.
        head: Its `perturbation` gives losses (N,) by output name, its `step` how to descend them.
        outputs: Of the first pass.
        network_input: Name of the tensor that enters the network, (N, 3, S, S), normalised.
        preprocess: Its std turns pixel units into those of the normalised input.
        opset: Of the graph.

    Returns:
        The outputs, those that the head perturbs replaced.

    Raises:
        ExportError: If an operator of the network has no gradient rule; it is named.
    """
    entry = network_input_info(network_input, preprocess)
    unit = np.ones(3) if head.step.normalised else np.array(preprocess.std)
    length = _per_channel(head.step.length / unit)
    flattest = head.step.flattest_of(3 * preprocess.size_px**2)
    moved_outputs: dict[str, Any] = {}
    for name, loss in head.losses(GraphNamespace(), outputs).items():
        gradient = append_wide_gradient(
            builder, of=loss.name, wrt=network_input, inputs=[entry], opset=opset
        )
        moved = append_step(
            builder, network_input, gradient, length, alone=head.step.alone, flattest=flattest
        )
        if head.step.clip:
            moved = _clipped(builder, moved, preprocess)
        source = outputs.named()[name].name
        again = append_replay(
            builder,
            [source],
            source=network_input,
            replacement=moved,
            prefix=second_pass(head.name, name),
        )
        moved_outputs[name] = GraphArray(builder, again[source])
    return outputs.moved(moved_outputs)


def _clipped(builder: GraphBuilder, moved: str, preprocess: Preprocess) -> str:
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    lowest = builder.constant(_per_channel((0 - mean) / std))
    highest = builder.constant(_per_channel((1 - mean) / std))
    return builder.add("Min", [builder.add("Max", [moved, lowest]), highest])


def _per_channel(values: Any) -> Any:
    return np.asarray(values, np.float32).reshape(1, 3, 1, 1)
