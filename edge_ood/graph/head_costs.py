"""What scores cost: the network with some of them against the network with none.

Scores share what they compute, and `combined` brings what it is made of. So what each adds alone
sums to more than what all of them add together.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from edge_ood.calibration.combination import COMBINED
from edge_ood.graph.budget import stored_bytes
from edge_ood.graph.decision import keep_heads
from edge_ood.graph.draft import drop_unused, finish, start
from edge_ood.graph.simplify import prune

__all__ = ["added_bytes", "variants"]

_BARE = ("label", "logits")
"""What the network says without any score."""


def variants(
    model: onnx.ModelProto, scores: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], onnx.ModelProto]]:
    """The network with no score, with each alone, and with all of them.

    Args:
        model: An artefact; stays as it is.
        scores: All its scores, in the order of its outputs.

    Yields:
        Names of the scores that are there, and the model: first none, which leaves label and
        logits, then one at a time with its p-value and decision, then all, which is the artefact.

    Raises:
        ArtifactError: If the graph has no decision, or a damaged one.
    """
    yield (), prune(model, _BARE)
    if len(scores) > 1:
        for score in scores:
            yield (score,), keep_heads(model, scores, [score], primary=score)
    yield tuple(scores), model


def added_bytes(model: onnx.ModelProto, scores: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Bytes that each score alone adds to the network, and all of them together.

    Args:
        model: An artefact; its metadata do not count.
        scores: All its scores, in the order of its outputs.

    Returns:
        By names of the scores that are there, as `variants` has them.

    Raises:
        ArtifactError: If the graph has no decision, or a damaged one.
    """
    light, saved = _without_weights(model, scores)
    sizes = {
        names: each.graph.ByteSize() + sum(saved.get(t.name, 0) for t in each.graph.initializer)
        for names, each in variants(light, scores)
    }
    bare = sizes.pop(())
    return {names: size - bare for names, size in sizes.items()}


def _without_weights(
    model: onnx.ModelProto, scores: Sequence[str]
) -> tuple[onnx.ModelProto, Mapping[str, int]]:
    """A model that only looks the same, and the bytes that each weight of it lacks.

    To rewrite a large network as often as it has scores takes minutes.
    """
    needed = start(model)
    needed.outputs = [*_BARE, *(score for score in scores if score != COMBINED)]
    drop_unused(needed)
    draft, saved = start(model), {}
    for name, weight in needed.weights.items():
        draft.weights[name] = numpy_helper.from_array(np.float32(0), name)
        saved[name] = stored_bytes(weight) - stored_bytes(draft.weights[name])
    return finish(model, draft), saved
