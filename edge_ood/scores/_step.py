"""How far, and where, a head moves an image before it reads it again."""

from dataclasses import dataclass
from typing import Any

__all__ = ["EPSILON", "Step"]

EPSILON = "epsilon"


@dataclass(frozen=True)
class Step:
    """A step of an image against the sign of the gradient of a loss; zero counts as positive.

    Attributes:
        length: In raw [0, 1] pixel units; 0 where there is none.
        clip: Whether the moved image is kept within [0, 1].
        alone: Whether of an image's values, over all channels, only the one with the derivative
            of the largest size moves, the first of equals.
        flattest: Share of an image's values that move, those with the derivatives of the smallest
            size, zero not among them; 0 where that is not how they are chosen.
        normalised: Whether the length is in units of normalised pixels instead.
    """

    length: float
    clip: bool = False
    alone: bool = False
    flattest: float = 0.0
    normalised: bool = False

    def flattest_of(self, values: int) -> int:
        """How many of so many values move, where the flattest are to; 0 where they are not."""
        return max(1, int(self.flattest * values)) if self.flattest else 0

    @classmethod
    def of(
        cls, *, epsilon: float, clip: bool = False, pixels: str = "all", **parameters: Any
    ) -> "Step":
        """The step that parameters of these names ask for."""
        return cls(epsilon, clip, alone=pixels == "one")
