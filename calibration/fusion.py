"""Weights of feature layers, from distances of ID and OOD images."""

import numpy as np
from numpy.typing import NDArray

from edge_ood.errors import CalibrationError, MissingDependencyError, ShapeError

__all__ = ["logistic_weights", "uniform_weights"]


def uniform_weights(id_distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Weights (L,) under which the distance of new ID images has about deviation 1 per layer.

    Args:
        id_distances: Squared Mahalanobis distances (N, L) of the images that the statistics come
            from.

    Returns:
        One over the deviation of the distances, or over that of a chi-squared variable of the same
        mean where that is larger. One layer keeps the weight 1, so that its score stays the
        squared distance.

    Raises:
        CalibrationError: If a distance is not finite, or all of a layer's are 0.

    Source: a squared distance over R directions is chi-squared for Gaussian features, of mean R and
    variance 2 R. On the N images that gave the covariance its variance is only 2 R (1 - R / N), and
    0 once the residuals are linearly independent: what is left to divide by then is rounding.
    """
    distances = _checked(id_distances)
    if distances.shape[1] == 1:
        return np.ones(1)
    chi_squared = np.sqrt(2 * distances.mean(axis=0))
    weights: NDArray[np.float64] = 1 / _positive(np.maximum(distances.std(axis=0), chi_squared))
    return weights


def logistic_weights(
    id_distances: NDArray[np.floating], ood_distances: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Weights (L,) of a logistic regression that tells ID from OOD images.

    Args:
        id_distances: Squared distances (N, L) of ID images.
        ood_distances: Squared distances (M, L) of adversarial images or outliers.

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
    distances = np.concatenate([_checked(id_distances), _checked(ood_distances)])
    is_ood = np.arange(len(distances)) >= len(id_distances)
    scale = _positive(distances.std(axis=0))
    regression = LogisticRegression(class_weight="balanced", max_iter=1000)
    regression.fit((distances - distances.mean(axis=0)) / scale, is_ood)
    if regression.n_iter_[0] >= regression.max_iter:
        raise CalibrationError(
            f"the layer weights did not converge in {regression.max_iter} iterations",
            hint="use uniform weights",
        )
    weights: NDArray[np.float64] = regression.coef_[0] / scale
    return weights


def _positive(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
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
