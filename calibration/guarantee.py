"""What a calibration promises: the false-alarm rate, and in which sense it is held."""

from dataclasses import dataclass, replace

from edge_ood.calibration.threshold import minimum_images, threshold_rank

__all__ = ["Changes", "Guarantee"]


@dataclass(frozen=True)
class Guarantee:
    """A false-alarm rate on known images, and in which sense it is held.

    Attributes:
        alpha: The rate, in (0, 1).
        confidence: Probability over calibration sets with which it is held; 0 for on average.

    Raises:
        InputError: If a value is out of range.
    """

    alpha: float = 0.05
    confidence: float = 0.0

    def __post_init__(self) -> None:
        minimum_images(self.alpha, self.confidence)

    @property
    def minimum_images(self) -> int:
        """Smallest number of calibration images for it."""
        return minimum_images(self.alpha, self.confidence)

    def check_images(self, n: int) -> None:
        """Refuse too few images before any is opened.

        Raises:
            CalibrationError: If n is less than `minimum_images`.
        """
        threshold_rank(n, self.alpha, self.confidence)


@dataclass(frozen=True)
class Changes:
    """What is to be held from now on; None keeps what a file holds now. As in `Guarantee`."""

    alpha: float | None = None
    confidence: float | None = None

    def applied_to(self, guarantee: Guarantee) -> Guarantee:
        """The guarantee with these changes."""
        return replace(guarantee, **{k: v for k, v in vars(self).items() if v is not None})
