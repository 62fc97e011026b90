"""Synthetic images, as out-of-distribution sets: one kind per file.

A kind is a function that makes one image, from noise or from ID images, with values in [0, 1].
Everything random in it comes from the generator that it is given, so that an image can be made
again at any time, alone or in a batch. `edge_ood.evaluation.synthetic_images` makes sets of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edge_ood.registry import Registry

__all__ = ["KINDS", "Synthetic"]


@dataclass(frozen=True)
class Synthetic:
    """One kind of synthetic images.

    Attributes:
        name: The registry name, and the name of the set unless it is given another.
        make: For a set made from nothing, `make(generator, size_px, **parameters)`; for one made
            from ID images, `make(generator, *images, **parameters)`; each gives one image,
            float (S, S, 3) with values in [0, 1], as the ID images are. For an adversarial
            kind, `make(scorer, **parameters)` gives a function from an ID image to another.
        source: Paper, and what was changed.
        n_sources: Number of ID images that one image is made from.
        kind: `synthetic`, or `adversarial` for what is made against one artefact.
    """

    name: str
    make: Callable[..., Any]
    source: str
    n_sources: int = 0
    kind: Literal["synthetic", "adversarial"] = "synthetic"

    @property
    def group(self) -> str:
        """`far` for what no ID image went into, else empty."""
        return "" if self.n_sources else "far"


KINDS = Registry(
    "edge_ood.synthetic",
    kind="kind of synthetic images",
    attribute="SYNTHETIC",
    separator="-",
    listing="'edge-ood evaluate --help' lists them",
)
