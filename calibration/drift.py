"""Has what the camera sees changed? Windows of p-values against those of the calibration images.

A conformal p-value says where an image's score lies among n calibration scores. If images are
drawn as those were, W of them and the n are exchangeable, and a two-sample test of where they lie
holds its level, whatever n is: p-values taken for independent and uniform would raise false alarms
once W is not small against n, since all of them lean on the same calibration images.

Source: the two-sample Kolmogorov-Smirnov test of SciPy on ranks; conformal p-values as in
`calibration.threshold`. Each window has its level; nothing is claimed of any number of them.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge_ood.errors import InputError, MissingDependencyError

__all__ = ["Window", "Windows", "drift_pvalue"]

_DAY_S = 86_400
_QUANTILES = (0.1, 0.5, 0.9)


def drift_pvalue(pvalues: ArrayLike, calibration_images: int) -> float:
    """How likely p-values as far from the calibration's are, if nothing has changed; in [0, 1].

    Args:
        pvalues: (W,) in (0, 1], of images that follow each other.
        calibration_images: n, that stand behind each p-value.

    Raises:
        MissingDependencyError: If SciPy is not installed.
    """
    try:
        from scipy.stats import ks_2samp  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("looking for drift", "scipy", "fit") from error
    # An image lies between two calibration images, which are at 1, 2, ..., n.
    places = np.asarray(pvalues, np.float64) * (calibration_images + 1) - 0.5
    return float(ks_2samp(places, np.arange(1, calibration_images + 1)).pvalue)


@dataclass(frozen=True)
class Window:
    """What a window of images looked like.

    Attributes:
        first: Number of its first image, from 0.
        images: W.
        pvalue: Of the test, in [0, 1].
        is_alarm: Whether that is at most the level.
        flagged: Share of the images that were flagged.
        quantiles: Of the images' p-values, at 10, 50 and 90 %; uniform ones have 0.1, 0.5, 0.9.
        label: The predicted class of which most images were flagged; empty if none was.
        label_flagged: How many of that class.
        label_images: Out of so many.
    """

    first: int
    images: int
    pvalue: float
    is_alarm: bool
    flagged: float
    quantiles: tuple[float, ...]
    label: str
    label_flagged: int
    label_images: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, under the name of the event."""
        return {"event": "drift" if self.is_alarm else "window", **asdict(self)}

    def __str__(self) -> str:
        low, middle, high = self.quantiles
        concerned = (
            f"; most of '{self.label}': {self.label_flagged} of {self.label_images}"
            if self.label
            else ""
        )
        return (
            f"images {self.first} to {self.first + self.images - 1}: {self.flagged:.0%} flagged,"
            f" p-values at 10, 50, 90 % {low:.2f}, {middle:.2f}, {high:.2f}{concerned}"
            f" (p = {self.pvalue:.1e})"
        )


class Windows:
    """Cuts a stream of images into windows that do not overlap, and tests each.

    Args:
        size: W, images of a window.
        level: Of the test of one window: the share of windows that raise a false alarm.
        calibration_images: n.

    Raises:
        InputError: If a number is out of range.
    """

    def __init__(self, size: int, level: float, calibration_images: int) -> None:
        if size < 2:
            raise InputError(f"a window of {size} images, expected 2 or more", hint="--window 200")
        if not 0 < level < 1:
            raise InputError(
                f"a level of {level} a window, expected more than 0, less than 1",
                hint="--level 0.001",
            )
        if calibration_images < 1:
            raise InputError("the file was never calibrated", hint="edge-ood calibrate")
        self.size, self.level, self._n = size, level, calibration_images
        self._pvalues: list[float] = []
        self._seen: Counter[str] = Counter()
        self._flagged: Counter[str] = Counter()
        self._first = 0

    def add(self, pvalue: float, label: str, *, is_ood: bool) -> Window | None:
        """Take an image into account; the window that it completes, if it does."""
        if math.isnan(pvalue):
            return None
        self._pvalues.append(pvalue)
        self._seen[label] += 1
        self._flagged[label] += is_ood
        if len(self._pvalues) < self.size:
            return None
        window = self._window()
        self._first += self.size
        self._pvalues.clear()
        self._seen.clear()
        self._flagged.clear()
        return window

    def false_alarms_a_day(self, images_s: float) -> float:
        """Expected, at so many images a second, where nothing changes."""
        return self.level * images_s * _DAY_S / self.size

    def _window(self) -> Window:
        pvalue = drift_pvalue(self._pvalues, self._n)
        (label, count), *_ = self._flagged.most_common(1)
        flagged = self._flagged.total()
        return Window(
            first=self._first,
            images=self.size,
            pvalue=pvalue,
            is_alarm=pvalue <= self.level,
            flagged=flagged / self.size,
            quantiles=_quantiles(self._pvalues),
            label=label if count else "",
            label_flagged=count,
            label_images=self._seen[label] if count else 0,
        )


def _quantiles(pvalues: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in np.quantile(pvalues, _QUANTILES))
