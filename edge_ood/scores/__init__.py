"""Score heads: one formula per file, larger = more out-of-distribution, no exception.

A formula is written once, on the Python array API (`xp.max`, `xp.sum`, `xp.exp`, ...). The same
lines run on NumPy in float64 (the oracle), on torch tensors and on `edge_ood.graph.array`, which
records them as ONNX nodes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ood.registry import Registry

__all__ = ["HEADS", "Accumulator", "BoundHead", "Outputs", "ScoreHead", "Statistics"]

Statistics = Mapping[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Outputs:
    """What a classifier says about a batch; arrays of NumPy, torch or the graph recorder.

    Attributes:
        logits: (N, K), the mean over the classifier heads.
        logits_pair: (N, 2, K) of a two-head network, else None.
        features: Spatially averaged activations (N, D) by layer name, penultimate last.
    """

    logits: Any
    logits_pair: Any = None
    features: Mapping[str, Any] = field(default_factory=dict)


class Accumulator(Protocol):
    """Statistics in the making: fed batch by batch, mergeable, finished once."""

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""

    def merge(self, other: "Accumulator") -> None:
        """Take everything that `other` saw into account."""

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Named arrays for the head's formula."""


@dataclass(frozen=True)
class ScoreHead:
    """One OOD score.

    Attributes:
        inputs: Which fields of `Outputs` the formula reads.
        score: `score(xp, outputs, statistics, **parameters) -> (N,)`, larger = more OOD.
        source: Paper and equation.
        fit: `fit(num_classes, **parameters)` gives an `Accumulator`; None where nothing is fitted.
        perturbation: Per-image loss to descend before scoring; None for closed-form heads.
    """

    name: str
    inputs: tuple[str, ...]
    score: Callable[..., Any]
    source: str
    fit: Callable[..., Accumulator] | None = None
    perturbation: Callable[..., Any] | None = None


@dataclass(frozen=True)
class BoundHead:
    """A head with its parameters and fitted statistics: a function of outputs alone."""

    head: ScoreHead
    parameters: Mapping[str, Any]
    statistics: Statistics = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The head's registry name, which is also its output's name in the artefact."""
        return self.head.name

    def score(self, xp: Any, outputs: Outputs) -> Any:
        """Scores (N,) of one batch of outputs; larger is more out-of-distribution."""
        return self.head.score(xp, outputs, self.statistics, **self.parameters)


HEADS = Registry(
    "edge_ood.scores", kind="score head", attribute="HEAD", listing="'edge-ood heads' lists them"
)
