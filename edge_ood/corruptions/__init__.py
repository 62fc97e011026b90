"""Corruptions of ID images, each at five strengths: one kind per file.

A kind is a function that corrupts one image, with values in [0, 1], as far as a constant says. The
constants are those of three published sets, which differ by the side of their images: CIFAR-10-C,
Tiny ImageNet-C and ImageNet-C. `edge_ood.evaluation.corrupted` measures artefacts on them.

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; constants from its authors' code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_ood.registry import Registry

__all__ = ["CORRUPTIONS", "STRENGTHS", "Corruption"]

STRENGTHS = (1, 2, 3, 4, 5)
"""From hardly visible to severe."""


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: The registry name.
        corrupt: `corrupt(generator, image, constant)` gives a corrupted image, float (S, S, 3) with
            values in [0, 1], as the image is.
        constants: Of the five strengths, by the side in pixels of a published set's images.
        unit: What a constant is.
        source: Paper.
        is_length: Whether constants are lengths in pixels, which grow with the image.
    """

    name: str
    corrupt: Callable[..., Any]
    constants: Mapping[int, tuple[float, float, float, float, float]]
    unit: str
    source: str
    is_length: bool = False

    def constant(self, strength: int, size_px: int) -> float:
        """The constant for images of some size.

        It is that of the published set with the largest images that are no larger, and of the one
        with the smallest images where all are larger. A length is stretched from the side of that
        set to a larger one, and never shrunk.

        Args:
            strength: 1 to 5.
            size_px: Side of the image.
        """
        published = max((side for side in self.constants if side <= size_px), default=0)
        side = published or min(self.constants)
        stretched = max(1.0, size_px / side) if self.is_length else 1.0
        return stretched * self.constants[side][STRENGTHS.index(strength)]


CORRUPTIONS = Registry(
    "edge_ood.corruptions",
    kind="corruption",
    attribute="CORRUPTION",
    separator="-",
    listing="'edge-ood evaluate --help' lists them",
)
