"""What statistics of heads are fitted by, and the last layer of a classifier that some read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_ood.scores._outputs import Outputs

__all__ = ["Accumulator", "LinearLayer"]


@dataclass(frozen=True)
class LinearLayer:
    """The last layer of a classifier: `logits = features @ weight.T + bias`.

    Attributes:
        weight: W, float64 (K, D), of the penultimate features.
        bias: b, float64 (K,).
    """

    weight: "NDArray[np.float64]"
    bias: "NDArray[np.float64]"


class Accumulator(Protocol):
    """Statistics in the making: fed batch by batch, mergeable, finished once."""

    def update(self, outputs: "Outputs", labels: "NDArray[np.int64]") -> None:
        """Take one batch into account."""

    def merge(self, other: Any) -> None:
        """Take everything that `other` saw into account."""

    def finish(self) -> "dict[str, NDArray[np.float64]]":
        """Named arrays for the head's formula."""
