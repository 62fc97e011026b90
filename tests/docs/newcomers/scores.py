"""A head of one's own: features far from their mean, and no large logit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.registry import NonNegative
from edge_ood.scores import Outputs, ScoreHead, Statistics


class LayerMoments:
    """Mean and variance of every feature."""

    def __init__(self, num_classes: int, **parameters: Any) -> None:
        self._sums: dict[str, list[Any]] = {}

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch of features (N, D_l) into account."""
        for layer, features in outputs.features.items():
            wide = features.astype(np.float64)
            self._add(layer, [len(wide), wide.sum(axis=0), np.square(wide).sum(axis=0)])

    def merge(self, other: "LayerMoments") -> None:
        """Take everything that `other` saw into account."""
        for layer, sums in other._sums.items():
            self._add(layer, sums)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Per layer `<layer>/mean` (D_l,) and `<layer>/variance` (D_l,)."""
        found = {}
        for layer, (count, total, squares) in self._sums.items():
            mean = total / count
            found[f"{layer}/mean"] = mean
            found[f"{layer}/variance"] = np.maximum(squares / count - np.square(mean), 0)
        return found

    def _add(self, layer: str, sums: list[Any]) -> None:
        earlier = self._sums.get(layer, [0, 0, 0])
        self._sums[layer] = [a + b for a, b in zip(earlier, sums, strict=True)]


def a_newcomer(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    epsilon: NonNegative = 0.001,
    clip: bool = False,
) -> Any:
    """Mean square deviation of the features, over layers, minus the largest logit.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) of the perturbed image, and every layer of `features` (N, D).
        statistics: For each layer `<layer>/mean` (D,) and `<layer>/variance` (D,).
        epsilon: Length of the perturbation in raw [0, 1] pixel units, >= 0.
        clip: Keep the perturbed image within [0, 1].

    Returns:
        Scores of shape (N,), unbounded; larger is more out-of-distribution.

    Source: this project, to see that a file is enough.
    """
    score = -xp.max(outputs.logits, axis=1)
    for layer, features in outputs.features.items():
        deviation = features - statistics[f"{layer}/mean"]
        squares = deviation * deviation / (statistics[f"{layer}/variance"] + 1)
        score = score + xp.mean(squares, axis=1)
    return score


def doubt(xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any) -> dict[str, Any]:
    """Loss (N,) of the predicted class, in nats, >= 0."""
    below = outputs.logits - xp.max(outputs.logits, axis=1, keepdims=True)
    return {"logits": xp.log(xp.sum(xp.exp(below), axis=1))}


HEAD = ScoreHead(
    "a_newcomer",
    ("logits", "features"),
    a_newcomer,
    source="this project",
    fit=LayerMoments,
    perturbation=doubt,
)
