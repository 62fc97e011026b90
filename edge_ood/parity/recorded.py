"""What a file itself said about images, as a reference for what is computed from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.graph.network import moved_output
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import Pass, Reference
from edge_ood.scores import BoundHead, Outputs

__all__ = ["own_outputs"]


@dataclass(frozen=True)
class _Recorded:
    """A classifier's outputs as a file gave them, whatever is asked, in one precision.

    Attributes:
        outputs: Of the first pass.
        moved: Of the second passes, by head and output.
    """

    outputs: Outputs
    moved: Mapping[tuple[str, str], NDArray[Any]]

    def __call__(self, images: NDArray[Any]) -> Outputs:
        return self.outputs

    def second_pass(self, head: BoundHead, preprocess: Preprocess) -> Pass:
        own = {name: array for (mover, name), array in self.moved.items() if mover == head.name}
        return lambda images: Outputs.from_named({**self.outputs.named(), **own})


def own_outputs(found: Mapping[str, NDArray[Any]], heads: Sequence[BoundHead]) -> Reference:
    """The reference for what is computed from a classifier's outputs.

    Args:
        found: Outputs (N, ...) of the first pass by their names, those of second passes under
            the names of `moved_output`.
        heads: Heads of the file.
    """
    first = Outputs.from_named(found).named()
    names = {
        (head.name, name): moved_output(head.name, name)
        for head in heads
        if head.epsilon
        for name in first
    }
    moved = {key: found[name] for key, name in names.items() if name in found}
    float32, float64 = (
        _Recorded(
            Outputs.from_named({name: array.astype(dtype) for name, array in first.items()}),
            {key: array.astype(dtype) for key, array in moved.items()},
        )
        for dtype in (np.float32, np.float64)
    )
    return Reference(float64, (float32,))
