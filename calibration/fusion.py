"""Weights of feature layers, from distances of known and foreign images."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError, MissingDependencyError, ShapeError

__all__ = ["logistic_weights", "uniform_weights"]


def uniform_weights(known: NDArray[np.floating]) -> NDArray[np.float64]:
    """Weights (L,) under which every layer's distance of known images (N, L) has deviation 1.

    One layer keeps the weight 1, so that its score stays the squared distance.
    """
    distances = _checked(known)
    if distances.shape[1] == 1:
        return np.ones(1)
    weights: NDArray[np.float64] = 1 / _deviation(distances)
    return weights


def logistic_weights(
    known: NDArray[np.floating], foreign: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Weights (L,) of a logistic regression that tells known from foreign images.

    Args:
        known: Squared distances (N, L) of known images.
        foreign: Squared distances (M, L) of adversarial images or outliers.

    Returns:
        Weights of the unscaled distances; larger weighted sums are more out-of-distribution.

    Raises:
        CalibrationError: If a distance is not finite, or the regression does not converge.
        MissingDependencyError: If scikit-learn is not installed.

    Source: Lee et al. 2018, arXiv:1807.03888, section 2.2. The distances are standardised first:
    in the paper's code unscaled inputs can stop the solver before it converged. The intercept is
    dropped, because it moves no ranking.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("fitting layer weights", "scikit-learn", "fit") from error
    distances = np.concatenate([_checked(known), _checked(foreign)])
    is_foreign = np.arange(len(distances)) >= len(known)
    scale = _deviation(distances)
    regression = LogisticRegression(class_weight="balanced", max_iter=1000)
    regression.fit((distances - distances.mean(axis=0)) / scale, is_foreign)
    if regression.n_iter_[0] >= regression.max_iter:
        raise CalibrationError(
            f"the layer weights did not converge in {regression.max_iter} iterations",
            hint="use uniform weights",
        )
    weights: NDArray[np.float64] = regression.coef_[0] / scale
    return weights


def _deviation(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    deviation: NDArray[np.float64] = distances.std(axis=0)
    if not deviation.all():
        raise CalibrationError("a layer has the same distance for every image")
    return deviation


def _checked(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    exact = np.asarray(distances, np.float64)
    if exact.ndim != 2 or not len(exact):
        raise ShapeError(f"distances of shape {exact.shape}, expected (N, L)")
    if not np.isfinite(exact).all():
        raise CalibrationError("a distance is not finite while fitting layer weights")
    return exact
