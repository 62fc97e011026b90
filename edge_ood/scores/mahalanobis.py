"""Mahalanobis distance to the nearest class, over one or several layers (Lee et al. 2018)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.registry import Count, Fraction, NonNegative
from edge_ood.scores import FEATURES_PREFIX, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import fitted_rows, unit_rows

_ROWS = ((1,), (1,))
"""Axes of a product of rows with rows, `a @ b.T`: a matrix that is stored once serves both ways."""

_WIDEST_WHOLE, _MOST_KEPT = 512, 128
_IMAGES_OF_A_DIRECTION = 4
"""Beyond those that the class means take, for each direction that has a variance of its own."""

_NAMES = ("centre", "whitening", "means", "variance", "rest_precision", "rest_means")


class LayerGaussians:
    """Fits one class-conditional Gaussian per feature layer."""

    def __init__(
        self,
        num_classes: int,
        *,
        shrinkage: float = 0.0,
        rank: int = 0,
        normalize: bool = True,
        **parameters: Any,
    ) -> None:
        self._num_classes = num_classes
        self._normalize = normalize
        self._shrinkage = shrinkage
        self._rank = rank
        self._layers: dict[str, ClassGaussian] = {}

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch of features (N, D_l) and labels (N,) into account."""
        for layer, features in outputs.features.items():
            rows = fitted_rows(features, normalize=self._normalize)
            self._gaussian(layer).update(rows, labels, roundoff=outputs.roundoff)

    def merge(self, other: "LayerGaussians") -> None:
        """Take everything that `other` saw into account."""
        for layer, gaussian in other._layers.items():
            self._gaussian(layer).merge(gaussian)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """Per layer `<layer>/` and each name that `ClassGaussian.finish` gives."""
        return {
            f"{layer}/{name}": array
            for layer, gaussian in self._layers.items()
            for name, array in self._finished(gaussian).items()
        }

    def _finished(self, gaussian: ClassGaussian) -> dict[str, NDArray[np.float64]]:
        rank = self._rank or _kept_directions(gaussian.width, gaussian.free)
        return gaussian.finish(shrinkage=self._shrinkage, rank=rank)

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
    rank: Count = 0,
    normalize: bool = True,
) -> Any:
    """Weighted sum over layers of the squared distance to the nearest class mean.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses every layer of `features` (N, D_l).
        statistics: For each layer `<layer>/centre` (D,), `<layer>/whitening` (D, R) and
            `<layer>/means` (K, R); `<layer>/weight` (), 1 where it is missing. With a rank also
            what `ClassGaussian.finish` adds.
        epsilon: Length of the perturbation in raw [0, 1] pixel units, towards the nearest class,
            for each layer its own, >= 0; 0 scores the image as it is.
        clip: Keep the perturbed image within [0, 1].
        weights: How layer weights are chosen while fitting: `uniform` gives every layer the same
            spread on training images, `fgsm` and `outliers` are a logistic regression against
            adversarial training images and against auxiliary outliers.
        shrinkage: Share of a multiple of the identity that is mixed into each covariance while
            fitting, in [0, 1]; with 0 a singular covariance gets its pseudo-inverse.
        rank: Principal directions of each covariance that are kept. Along the others, whose
            distances are not lost, all variances count as their mean. 0 keeps all of up to 512,
            128 of more, which makes a small and fast file, but one for four images at most;
            as many as there are keep all, whatever the images.
        normalize: Features of length one, in fit and score alike (Mahalanobis++).

    Returns:
        Scores of shape (N,), dimensionless; larger is more out-of-distribution. With one layer it
        is the squared distance, >= 0; a regression may give a layer a negative weight.

    Source: Lee et al. 2018, arXiv:1807.03888, eq. 2 without its factor -1, section 2.2; features of
    length one from Mueller & Hein 2025, arXiv:2505.18032, section 4. The
    nearest class is found by the expanded square (one matmul), the distance by differences, which
    do not cancel. The regression's intercept is left out. The cut is not in the paper; Kamoi and
    Kobayashi 2020, arXiv:2003.00402, found that what detects is not what classifies, so the small
    directions stay, as one. Few images give few directions a variance: what a pseudo-inverse does
    with the others costs more than their mean variance, and ignores what is odd along them.
    """
    distances = layer_distances(xp, outputs, statistics, normalize=normalize)
    weighted = [
        distance * statistics[f"{layer}/weight"] if f"{layer}/weight" in statistics else distance
        for layer, distance in distances.items()
    ]
    return _total(weighted)


def kept_variance(statistics: Statistics, **parameters: Any) -> dict[str, Any]:
    """The largest rank and, by layer, the share of the variance in the directions that it keeps."""
    end = "/explained"
    shares = {n.removesuffix(end): float(s) for n, s in statistics.items() if n.endswith(end)}
    if not shares:
        return {}
    rank = max(len(statistics[f"{layer}/variance"]) for layer in shares)
    return {"rank": {"rank": rank, "explained": shares}}


def too_few_images(
    counts: Sequence[int],
    widths: Mapping[str, int],
    *,
    shrinkage: float,
    rank: int,
    **parameters: Any,
) -> str:
    """Why so many images give no covariance; empty if they do.

    Each class takes one image for its mean; the others have to vary along every direction of the
    features. Of a pooled covariance of lower rank the pseudo-inverse ignores the rest: whatever is
    odd along it goes unnoticed.

    Args:
        counts: Images by class.
        widths: D_l by layer.
        shrinkage: More than 0 makes any covariance regular.
        rank: Fewer directions than the images tell of leave none out.
        parameters: Others do not matter.
    """
    empty = sum(count == 0 for count in counts)
    if empty:
        return f"{empty} of {len(counts)} classes have no image to fit statistics on"
    free, width = sum(counts) - len(counts), max(widths.values(), default=0)
    if not rank:
        fewest = _IMAGES_OF_A_DIRECTION + len(counts)
        few = free < _IMAGES_OF_A_DIRECTION
        return f"{sum(counts)} images of {len(counts)} classes; it takes {fewest}" if few else ""
    if shrinkage or free >= width or rank < free:
        return ""
    return (
        f"it is hopeless with {sum(counts)} images of {len(counts)} classes, which tell of {free} "
        f"of {width} directions of the features, and nothing odd is seen along the others; it "
        f"takes {width + len(counts)} images, or mahalanobis:rank=0"
    )


def _kept_directions(width: int, free: int) -> int:
    """How many of so many directions have a variance of their own; 0 for all.

    Args:
        width: D.
        free: Images beyond those that the class means take.

    Measured on ResNet-20 (D 64) and on classifiers over the features of EfficientNet-Lite0 (D
    1280): half as many directions as `free` or all of them lose 1 to 6 points of AUROC there,
    and 128 of 1280 none.
    """
    estimated = max(1, free // _IMAGES_OF_A_DIRECTION)
    if width <= _WIDEST_WHOLE:
        return estimated if estimated < width else 0
    return min(_MOST_KEPT, estimated)


def own_distances(
    xp: Any, outputs: Outputs, statistics: Statistics, *, normalize: bool, **parameters: Any
) -> dict[str, Any]:
    """Squared distance (N,) of each layer to its nearest class, which its own step descends."""
    distances = layer_distances(xp, outputs, statistics, normalize=normalize)
    return {FEATURES_PREFIX + layer: distance for layer, distance in distances.items()}


def layer_distances(
    xp: Any, outputs: Outputs, statistics: Statistics, *, normalize: bool
) -> dict[str, Any]:
    """Squared Mahalanobis distance (N,), >= 0, to the nearest class mean, by layer."""
    distances = {}
    for layer, features in outputs.features.items():
        own = {name: statistics.get(f"{layer}/{name}") for name in _NAMES}
        rows = unit_rows(xp, features) if normalize else features
        parts = _whitened(xp, rows, own)
        # Half the squared distance to each class, without what is the same for all of them.
        halves = [
            (xp.sum(means * means, axis=1) / 2 - xp.tensordot(z, means, axes=_ROWS)) * precision
            for z, means, precision in parts
        ]
        nearest = xp.argmin(_total(halves), axis=1)
        differences = [
            (z - xp.take(means, nearest, axis=0), precision) for z, means, precision in parts
        ]
        distances[layer] = _total([xp.sum(d * d, axis=1) * factor for d, factor in differences])
    return distances


def _whitened(xp: Any, features: Any, own: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Points (N, .), class means (K, .) and a factor of their squared distances, to be summed."""
    centred = features - own["centre"]
    z = xp.matmul(centred, own["whitening"])
    kept = (z, own["means"], 1)
    if own["variance"] is None:
        return [kept]
    # As vectors, not as a difference of squared lengths, which would cancel.
    rest = centred - xp.tensordot(z * own["variance"], own["whitening"], axes=_ROWS)
    return [kept, (rest, own["rest_means"], own["rest_precision"])]


def _total(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


HEAD = ScoreHead(
    "mahalanobis",
    ("features",),
    mahalanobis,
    source="Lee et al. 2018, eq. 2; Mueller & Hein 2025, section 4",
    fit=LayerGaussians,
    summary=kept_variance,
    perturbation=own_distances,
    layer_weights="weights",
    nearest_class=True,
    too_few=too_few_images,
)
