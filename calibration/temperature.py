"""The temperature of class probabilities, from logits of labelled images that trained nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError, InputError, MissingDependencyError, ShapeError
from edge_ood.metrics.classification import expected_calibration_error, max_probability

__all__ = ["Tempered", "check_temperature", "fit_temperature", "measure_temperature"]

_LEAST, _MOST = 1e-6, 1e6
"""Beyond these nothing but an end of float32 is left of the logits of any network."""

_REACH = np.log(1000.0)
"""How far log T is searched to either side of the log of what the largest logit is above the mean:
so far that logits of any scale have their T in between."""

_STEP = 1e-9
"""Of log T: far below what any number of images tells."""

_CHANCE = 3.841458820694124
"""95 % of chi-squared with one degree of freedom: twice the gain in log-likelihood by chance."""


@dataclass(frozen=True)
class Tempered:
    """A temperature, and what it does to the images that it is from.

    Attributes:
        temperature: T > 0; the probabilities are `softmax(z / T)`.
        images: Number of images, N.
        nll_before: Mean negative log-likelihood at T = 1, in nats.
        nll_after: The same at T.
        ece_before: Expected calibration error at T = 1, over 15 bins, in [0, 1].
        ece_after: The same at T.
        why: Why T is 1 and not the minimiser; empty where it is.
    """

    temperature: float
    images: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float
    why: str = ""


def check_temperature(temperature: float) -> None:
    """Refuse what is no temperature.

    Raises:
        InputError: If it is not a number from 1e-6 to 1e6.
    """
    if not _LEAST <= temperature <= _MOST:  # NaN is not
        raise InputError(
            f"temperature {temperature!r}, expected a number from {_LEAST:g} to {_MOST:g}",
            hint="1 leaves the probabilities as they are",
        )


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> Tempered:
    """The temperature with the smallest negative log-likelihood, where the images tell it from 1.

    Mean `logsumexp(b z) - b z_y` is convex in b = 1 / T, so that it has one valley, which SciPy
    finds by bounded search. T stays 1 where there is no valley (no prediction is wrong, or the
    classifier is no better than chance), and where the gain is what chance gives: no more than the
    likelihood-ratio test at 95 % needs.

    Args:
        logits: Of N images (N, K), at least one.
        labels: Their classes (N,).

    Raises:
        CalibrationError: If a logit is not finite.
        MissingDependencyError: If SciPy is not installed.
        ShapeError: If labels and logits differ in number.

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2. The guard is this project's.
    """
    try:
        from scipy.optimize import minimize_scalar  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("fitting a temperature", "scipy", "fit") from error
    z = _checked(logits, labels)
    own, peak = z[np.arange(len(z)), labels], z.max(axis=1)
    if (own == peak).all():
        return measure_temperature(z, labels, 1.0, why="no prediction is wrong")
    if (own - z.mean(axis=1)).mean() <= 0:
        return measure_temperature(z, labels, 1.0, why="predictions are no better than chance")
    centre = np.log((peak - z.mean(axis=1)).mean())
    found = minimize_scalar(
        lambda log_t: _nll(z, labels, float(np.exp(log_t))),
        bounds=np.clip((centre - _REACH, centre + _REACH), *np.log((_LEAST, _MOST))),
        method="bounded",
        options={"xatol": _STEP},
    )
    tempered = measure_temperature(z, labels, float(np.exp(found.x)))
    gain = 2 * tempered.images * (tempered.nll_before - tempered.nll_after)
    if gain <= _CHANCE:
        why = f"{tempered.images} images do not tell {tempered.temperature:.3g} from it"
        return measure_temperature(z, labels, 1.0, why=why)
    return tempered


def measure_temperature(
    logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float, *, why: str = ""
) -> Tempered:
    """What a temperature does to images; arguments and errors are those of `fit_temperature`."""
    z = _checked(logits, labels)
    is_right = z.argmax(axis=1) == labels
    before, after = (
        expected_calibration_error(max_probability(z, t), is_right) for t in (1.0, temperature)
    )
    return Tempered(
        temperature=temperature,
        images=len(z),
        nll_before=_nll(z, labels, 1.0),
        nll_after=_nll(z, labels, temperature),
        ece_before=before,
        ece_after=after,
        why=why,
    )


def _checked(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    z = np.asarray(logits, np.float64)
    if z.ndim != 2 or len(z) != len(labels) or not z.size:
        raise ShapeError(f"logits of shape {z.shape} and {len(labels)} labels, expected (N, K), N")
    if not np.isfinite(z).all():
        raise CalibrationError(
            "a logit of the images that the temperature is from is not a finite number",
            hint="--temperature 1 leaves the probabilities as they are",
        )
    return z


def _nll(z: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> float:
    """Mean of `-log softmax(z / T)_y`, in nats."""
    below = (z - z.max(axis=1, keepdims=True)) / temperature
    return float((np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(z)), labels]).mean())
