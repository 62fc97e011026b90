"""What the gate finds: how far a file is from its reference, by output, image and batch size."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.parity.gradient_check import GradientReport

__all__ = ["Compared", "Difference", "ParityReport"]


@dataclass(frozen=True)
class Difference:
    """One output's largest error.

    Attributes:
        output: Name of the output or inner tensor.
        error: Largest absolute error against float64.
        allowed: Largest error that passes.
        image: Where it happened.
        batch: Batch size at which it happened.
    """

    output: str
    error: float
    allowed: float
    image: str
    batch: int

    @property
    def passed(self) -> bool:
        """Whether the error is allowed; NaN is not."""
        return self.error <= self.allowed

    @property
    def severity(self) -> float:
        """The error over what is allowed; infinite for NaN."""
        if np.isnan(self.error):
            return float("inf")
        return self.error / max(self.allowed, np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Compared:
    """One output of all images, run in batches of one size.

    Attributes:
        output: Name of the output or inner tensor.
        batch: Batch size.
        error: Largest absolute error against float64, by image (N,).
        allowed: Largest error that passes, by image (N,).
        flips: Labels or decisions that are not those of the reference, also where that is allowed;
            None for numbers.
    """

    output: str
    batch: int
    error: NDArray[np.float64]
    allowed: NDArray[np.float64]
    flips: int | None = None

    def worst(self, names: Sequence[str], count: int) -> list[Difference]:
        """The images whose error is furthest beyond what is allowed, or nearest to it."""
        finite, infinite = np.isfinite(self.error), np.full(len(self.error), np.inf)
        severity = np.subtract(self.error, self.allowed, out=infinite, where=finite)
        return [
            Difference(self.output, float(self.error[i]), float(self.allowed[i]), name, self.batch)
            for i in np.argsort(-severity, kind="stable")[:count]
            for name in [names[i]]
        ]


@dataclass(frozen=True)
class ParityReport:
    """What `verify` compared.

    Attributes:
        images: Number of images, extremes included.
        differences: By output, the worst.
        resized_flips: Decisions that differ between Pillow's and the graph's resizing, of
            `resized_decisions`; reported, not a gate.
        resized_decisions: Decisions compared for that.
        reference: What the file was held against, such as `torch`; empty for its own classifier.
        names: Of the images, in the order of the arrays.
        compared: Everything, by batch size and output.
        resized: The flips by resizing, as names of output and image.
        gradients: What differences say about each loss that a head steps along, where there is no
            second implementation of its gradient.
        not_finite: Output and image wherever the file and its reference agree that a value is not
            finite.
    """

    images: int
    differences: tuple[Difference, ...]
    resized_flips: int
    resized_decisions: int
    reference: str = ""
    names: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()
    resized: tuple[tuple[str, str], ...] = ()
    gradients: tuple[GradientReport, ...] = ()
    not_finite: tuple[tuple[str, str], ...] = ()

    @property
    def notes(self) -> list[str]:
        """What should make you look twice, one sentence each."""
        if not self.not_finite:
            return []
        images = ", ".join(dict.fromkeys(image for _, image in self.not_finite))
        outputs = ", ".join(repr(o) for o in dict.fromkeys(o for o, _ in self.not_finite))
        return [
            f"for {images} the classifier gives what is no finite number, and so does the file, "
            f"in {outputs}: such images are not flagged"
        ]

    def to_json(self) -> dict[str, Any]:
        """A summary for the metadata."""
        return {
            "images": self.images,
            "differences": [asdict(difference) for difference in self.differences],
            "resized_flips": self.resized_flips,
            "resized_decisions": self.resized_decisions,
            "reference": self.reference,
            "gradients": [gradient.to_json() for gradient in self.gradients],
        }
