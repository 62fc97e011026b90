"""Mahalanobis distance to the nearest class, over one or several layers (Lee et al. 2018)."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.registry import Fraction, NonNegative
from edge_ood.scores import FEATURES_PREFIX, Outputs, ScoreHead, Statistics


class LayerGaussians:
    """Fits one class-conditional Gaussian per feature layer."""

    def __init__(self, num_classes: int, *, shrinkage: float = 0.0, **parameters: Any) -> None:
        self._num_classes = num_classes
        self._shrinkage = shrinkage
        self._layers: dict[str, ClassGaussian] = {}

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch of features (N, D_l) and labels (N,) into account."""
        for layer, features in outputs.features.items():
            self._gaussian(layer).update(features, labels)

    def merge(self, other: "LayerGaussians") -> None:
        """Take everything that `other` saw into account."""
        for layer, gaussian in other._layers.items():
            self._gaussian(layer).merge(gaussian)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Per layer `<layer>/centre`, `<layer>/whitening` and `<layer>/means`."""
        return {
            f"{layer}/{name}": array
            for layer, gaussian in self._layers.items()
            for name, array in gaussian.finish(shrinkage=self._shrinkage).items()
        }

    def _gaussian(self, layer: str) -> ClassGaussian:
        return self._layers.setdefault(layer, ClassGaussian(self._num_classes))


def mahalanobis(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    epsilon: NonNegative = 0.0,
    clip: bool = False,
    weights: Literal["uniform", "fgsm", "outliers"] = "uniform",
    shrinkage: Fraction = 0.0,
) -> Any:
    """Weighted sum over layers of the squared distance to the nearest class mean.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses every layer of `features` (N, D_l).
        statistics: For each layer `<layer>/centre` (D,), `<layer>/whitening` (D, R) and
            `<layer>/means` (K, R); `<layer>/weight` (), 1 where it is missing.
        epsilon: Length of the perturbation in raw [0, 1] pixel units, towards the nearest class,
            for each layer its own, >= 0; 0 scores the image as it is.
        clip: Keep the perturbed image within [0, 1].
        weights: How layer weights are chosen while fitting: `uniform` gives every layer the same
            spread on training images, `fgsm` and `outliers` are a logistic regression against
            adversarial training images and against auxiliary outliers.
        shrinkage: Share of a multiple of the identity that is mixed into each covariance while
            fitting, in [0, 1]; with 0 a singular covariance gets its pseudo-inverse.

    Returns:
        Scores of shape (N,), dimensionless; larger is more out-of-distribution. With one layer it
        is the squared distance, >= 0; a regression may give a layer a negative weight.

    Source: Lee et al. 2018, arXiv:1807.03888, eq. 2 without its factor -1, section 2.2. The
    nearest class is found by the expanded square (one matmul), the distance by differences, which
    do not cancel. The regression's intercept is left out.
    """
    distances = layer_distances(xp, outputs, statistics)
    weighted = [
        distance * statistics[f"{layer}/weight"] if f"{layer}/weight" in statistics else distance
        for layer, distance in distances.items()
    ]
    total = weighted[0]
    for distance in weighted[1:]:
        total = total + distance
    return total


def own_distances(
    xp: Any, outputs: Outputs, statistics: Statistics, **parameters: Any
) -> dict[str, Any]:
    """Squared distance (N,) of each layer to its nearest class, which its own step descends."""
    distances = layer_distances(xp, outputs, statistics)
    return {FEATURES_PREFIX + layer: distance for layer, distance in distances.items()}


def layer_distances(xp: Any, outputs: Outputs, statistics: Statistics) -> dict[str, Any]:
    """Squared Mahalanobis distance (N,), >= 0, to the nearest class mean, by layer."""
    distances = {}
    for layer, features in outputs.features.items():
        centred = features - statistics[f"{layer}/centre"]
        z = xp.matmul(centred, statistics[f"{layer}/whitening"])
        means = statistics[f"{layer}/means"]
        offsets = xp.sum(means * means, axis=1)
        nearest = xp.argmin(xp.matmul(z, -2 * means.T) + offsets, axis=1)
        difference = z - xp.take(means, nearest, axis=0)
        distances[layer] = xp.sum(difference * difference, axis=1)
    return distances


HEAD = ScoreHead(
    "mahalanobis",
    ("features",),
    mahalanobis,
    source="Lee et al. 2018, eq. 2, section 2.2",
    fit=LayerGaussians,
    perturbation=own_distances,
)
