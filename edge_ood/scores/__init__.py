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

__all__ = [
    "FEATURES_PREFIX",
    "HEADS",
    "PENULTIMATE",
    "Accumulator",
    "BoundHead",
    "Outputs",
    "ScoreHead",
    "Statistics",
]

FEATURES_PREFIX = "features/"
"""What the names of feature outputs of `classifier.onnx` begin with; the layer's name follows."""

PENULTIMATE = "penultimate"
"""The layer that the linear heads read; always the last feature."""

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

    @classmethod
    def from_named(cls, arrays: Mapping[str, Any]) -> "Outputs":
        """Outputs from arrays under the names that `classifier.onnx` gives them."""
        features = {
            name.removeprefix(FEATURES_PREFIX): array
            for name, array in arrays.items()
            if name.startswith(FEATURES_PREFIX)
        }
        return cls(arrays["logits"], arrays.get("logits_pair"), features)

    def named(self) -> dict[str, Any]:
        """The arrays that are there, under the names that `classifier.onnx` gives them."""
        pair = {} if self.logits_pair is None else {"logits_pair": self.logits_pair}
        features = {FEATURES_PREFIX + layer: array for layer, array in self.features.items()}
        return {"logits": self.logits, **pair, **features}


class Accumulator(Protocol):
    """Statistics in the making: fed batch by batch, mergeable, finished once."""

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""

    def merge(self, other: Any) -> None:
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
        perturbation: `perturbation(xp, outputs, statistics, **parameters)` gives losses (N,) by
            output name: the score reads each such output of the image moved by `epsilon` against
            the sign of that loss's gradient. None for heads that never perturb. A head that has
            one has a parameter `epsilon`, in raw [0, 1] pixel units; 0 switches it off.
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

    @property
    def epsilon(self) -> float:
        """Length of the perturbation in raw [0, 1] pixel units; 0 where there is none."""
        return float(self.parameters["epsilon"]) if self.head.perturbation else 0.0

    def score(self, xp: Any, outputs: Outputs) -> Any:
        """Scores (N,) of one batch of outputs; larger is more out-of-distribution."""
        return self.head.score(xp, outputs, self.statistics, **self.parameters)

    def losses(self, xp: Any, outputs: Outputs) -> dict[str, Any]:
        """Losses (N,) to descend, by the name of the output that is read after the step."""
        assert self.head.perturbation is not None, self.name
        losses: dict[str, Any] = self.head.perturbation(
            xp, outputs, self.statistics, **self.parameters
        )
        return losses


HEADS = Registry(
    "edge_ood.scores", kind="score head", attribute="HEAD", listing="'edge-ood heads' lists them"
)
