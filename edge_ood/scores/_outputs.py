"""What a classifier says about images: all that score heads read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["FEATURES_PREFIX", "Outputs"]

FEATURES_PREFIX = "features/"
"""What the names of feature outputs of `classifier.onnx` begin with; the layer's name follows."""


@dataclass(frozen=True)
class Outputs:
    """What a classifier says about a batch; arrays of NumPy, torch or the graph recorder.

    Attributes:
        logits: (N, K), the mean over the classifier heads.
        logits_pair: (N, 2, K) of a two-head network, else None.
        features: Spatially averaged activations (N, D) by layer name, penultimate last.
        roundoff: Relative rounding error of the features, where float32's is not all of it.
        still: The same of the image before a step, where some of it is of the moved image.
    """

    logits: Any
    logits_pair: Any = None
    features: Mapping[str, Any] = field(default_factory=dict)
    roundoff: float = 0.0
    still: "Outputs | None" = None

    @classmethod
    def from_named(cls, arrays: Mapping[str, Any]) -> "Outputs":
        """Outputs from arrays under the names that `classifier.onnx` gives them."""
        features = {
            name.removeprefix(FEATURES_PREFIX): array
            for name, array in arrays.items()
            if name.startswith(FEATURES_PREFIX)
        }
        return cls(arrays["logits"], arrays.get("logits_pair"), features)

    def moved(self, arrays: Mapping[str, Any]) -> "Outputs":
        """The same with some of the image after a step, under the names of `classifier.onnx`."""
        both = Outputs.from_named({**self.named(), **arrays})
        return replace(both, roundoff=self.roundoff, still=self)

    def named(self) -> dict[str, Any]:
        """The arrays that are there, under the names that `classifier.onnx` gives them."""
        pair = {} if self.logits_pair is None else {"logits_pair": self.logits_pair}
        features = {FEATURES_PREFIX + layer: array for layer, array in self.features.items()}
        return {"logits": self.logits, **pair, **features}
