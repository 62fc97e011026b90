"""Images that are made up, as out-of-distribution sets: one kind per file.

A kind is a function that makes one image, from noise or from known images, with values in [0, 1].
Everything random in it comes from the generator that it is given, so that an image can be made
again at any time, alone or in a batch. `edge_ood.evaluation.made_images` makes sets of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edge_ood.registry import Registry

__all__ = ["KINDS", "Synthetic"]


@dataclass(frozen=True)
class Synthetic:
    """One kind of made images.

    Attributes:
        name: The registry name, and the name of the set unless it is given another.
        make: For a set made from nothing, `make(generator, size_px, **parameters)`; for one made
            from known images, `make(generator, *known, **parameters)`; each gives one image,
            float (S, S, 3) with values in [0, 1], as the known images are. For an adversarial
            kind, `make(scorer, **parameters)` gives a function from a known image to another.
        source: Paper, and what was changed.
        known: Number of known images that one image is made from.
        kind: `synthetic`, or `adversarial` for what is made against one artefact.
    """

    name: str
    make: Callable[..., Any]
    source: str
    known: int = 0
    kind: Literal["synthetic", "adversarial"] = "synthetic"

    @property
    def group(self) -> str:
        """`far` for what no known image went into, else empty."""
        return "" if self.known else "far"


KINDS = Registry(
    "edge_ood.synthetic",
    kind="kind of made images",
    attribute="SYNTHETIC",
    separator="-",
    listing="'edge-ood evaluate --help' lists them",
)
