"""The beta distribution, in NumPy alone: the rate of a conformal threshold follows one.

`scipy.special.betainc` and `betaincinv` compute the same; SciPy is no dependency of a device.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["beta_cdf", "beta_quantile"]

_TINY = 1e-300
_MOST_TERMS = 100_000
_MOST_STEPS = 100
_TERM_PRECISION = 1e-14
_STEP_PRECISION = 1e-10
"""Of the last Newton step, which squares the error of the one before; float32 has 6e-8."""

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """P(X <= x) of X ~ Beta(a, b), the regularised incomplete beta function I_x(a, b).

    Args:
        x: In [0, 1]; all arguments broadcast.
        a: Positive.
        b: Positive.

    Returns:
        Probabilities, about 12 digits right for a + b up to a million.

    Source: DLMF 8.17.22, a continued fraction, by the modified Lentz algorithm; on the other side
    of the mean, where it converges slowly, I_x(a, b) = 1 - I_(1 - x)(b, a), DLMF 8.17.4.

    Example:
        >>> round(float(beta_cdf(0.5, 2, 1)), 9)  # Beta(a, 1) has x ** a below x
        0.25
    """
    x, a, b = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (x, a, b)))
    swapped = x > (a + 1) / (a + b + 2)
    near = np.where(swapped, 1 - x, x)
    first, second = np.where(swapped, b, a), np.where(swapped, a, b)
    with np.errstate(divide="ignore"):  # log(0) is -inf, and its exponential is the right 0
        exponent = first * np.log(near) + second * np.log1p(-near)
    factor = np.exp(exponent - _log_beta(first, second)) / first
    lower = factor * _fraction(near, first, second)
    probabilities: NDArray[np.float64] = np.clip(np.where(swapped, 1 - lower, lower), 0, 1)
    return probabilities


def beta_quantile(q: ArrayLike, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """The x in [0, 1] with P(X <= x) = q for X ~ Beta(a, b); arguments broadcast.

    Newton's method between bounds that close in: a step that leaves them is halved instead.

    Example:
        >>> round(float(beta_quantile(0.25, 2, 1)), 9)
        0.5
    """
    q, a, b = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (q, a, b)))
    low, high = np.zeros(q.shape), np.ones(q.shape)
    x = a / (a + b)
    log_beta = _log_beta(a, b)
    for _ in range(_MOST_STEPS):
        excess = beta_cdf(x, a, b) - q
        low, high = np.where(excess < 0, x, low), np.where(excess < 0, high, x)
        with np.errstate(all="ignore"):  # a step to nowhere is replaced below
            density = np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - log_beta)
            stepped = x - excess / density
        middle = (low + high) / 2
        following = np.where((stepped > low) & (stepped < high), stepped, middle)
        done = bool((np.abs(following - x) <= _STEP_PRECISION * x).all())
        x = following
        if done:
            break
    quantiles: NDArray[np.float64] = x
    return quantiles


def _log_beta(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithm: NDArray[np.float64] = _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)
    return logarithm


def _fraction(
    x: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The continued fraction 1 / (1 + d_1 / (1 + d_2 / ...)) of DLMF 8.17.22."""
    numerator = np.ones(x.shape)
    denominator = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, _MOST_TERMS):
        before = value
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1 / _nonzero(1 + term * denominator)
            numerator = _nonzero(1 + term / numerator)
            value = value * numerator * denominator
        if (np.abs(value - before) <= _TERM_PRECISION * np.abs(value)).all():
            break
    return value


def _nonzero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(values) < _TINY, _TINY, values)
