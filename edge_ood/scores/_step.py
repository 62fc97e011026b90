"""How far, and where, a head moves an image before it reads it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EPSILON", "Step"]

EPSILON, _CLIP, _PIXELS = "epsilon", "clip", "pixels"


@dataclass(frozen=True)
class Step:
    """A step of an image against the sign of the gradient of a loss; zero counts as positive.

    Attributes:
        length: In raw [0, 1] pixel units; 0 where there is none.
        clip: Whether the moved image is kept within [0, 1].
        alone: Whether of an image's values, over all channels, only the one with the derivative
            of the largest size moves, the first of equals.
    """

    length: float
    clip: bool = False
    alone: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Step":
        """The step that a head's parameters ask for."""
        alone = parameters.get(_PIXELS) == "one"
        return cls(float(parameters[EPSILON]), bool(parameters.get(_CLIP)), alone)
