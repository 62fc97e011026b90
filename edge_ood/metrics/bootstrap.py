"""Bootstrap of metrics: how much a number would move with other images of the same kind.

Images are the units. Those of each set are drawn again with replacement, as many as there are, and
every metric is computed on what was drawn: a *replicate*. ID and OOD images are drawn
separately (a stratified bootstrap). The draws of a set depend on its name, its size and the seed
alone, so all scores of all artefacts see the same ones, and a difference between two scores has
replicates too, free of what both share.

Two intervals are made of replicates. That of a rate is symmetric on the logit scale, where the
standard deviation of the replicates is its standard error: it stays within (0, 1), contains the
rate, and keeps its level near 0 and 1, where the quantiles of the replicates lie too close to the
end. (In simulations with normal scores, 100 + 100 images at AUROC 0.998 and nominal level 95 %, the
quantiles covered it in 78 % and this interval in 95 % or more. The detection error is a minimum
over thresholds, which is too small for few images: its interval covers about 90 %.) Quantiles are
for differences of rates, and for FPR95, which jumps where scores lie apart.

Replicates of a rate at 0 or 1 say little about how near it is, and of a few dozen images too little
about anything: see `edge_ood.metrics.exact_intervals`.

Sources: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13. The logit
scale: Pepe 2003, The Statistical Evaluation of Medical Tests for Classification and Prediction,
for AUROC; Boyd, Eng & Page 2013, doi:10.1007/978-3-642-40994-3_29, for AUPR.
"""

import math
from collections.abc import Hashable, Iterator, Mapping
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_ood.errors import InputError
from edge_ood.metrics import ranking
from edge_ood.metrics.checks import checked_vector
from edge_ood.metrics.ranking import Ranking
from edge_ood.metrics.resamples import Draws, Resamples

__all__ = [
    "logit_interval",
    "mean_replicates",
    "misclassification_replicates",
    "pair_replicates",
    "percentile_interval",
]

Replicates = dict[str, NDArray[np.float64]]
Key = TypeVar("Key", bound=Hashable)

_ELEMENTS_OF_A_CHUNK = 2**18
"""Images times replicates that are counted at once: a few megabytes for each array of counts."""


def pair_replicates(
    pairs: Mapping[Key, tuple[ArrayLike, ArrayLike]], id_images: Draws, ood_images: Draws
) -> dict[Key, Replicates]:
    """Replicates of all ranking metrics, for any number of scores of the same images.

    Args:
        pairs: Scores of the ID images (n_id,) and of the OOD images (n_ood,), each larger = more
            OOD, by whatever names a score, such as artefact and head.
        id_images: The draws of the ID images.
        ood_images: The draws of the OOD images, as many.

    Returns:
        For each score, by the names of the rates in `edge_ood.metrics.detection.PairMetrics`,
        replicates (B,) in [0, 1], by the same definitions.

    Raises:
        InputError: If a score is NaN, or scores and images differ in number.
        ShapeError: If scores are not one-dimensional.

    Example:
        >>> inside, outside = (Resamples(name, n=2, count=3, seed=0) for name in ("test", "near"))
        >>> replicates = pair_replicates({"energy": ([1, 2], [3, 4])}, inside, outside)
        >>> replicates["energy"]["auroc"].tolist()  # no drawn ID image outscores an OOD image
        [1.0, 1.0, 1.0]
    """
    is_ood = np.arange(id_images.n + ood_images.n) >= id_images.n
    rankings = {
        key: Ranking(
            np.concatenate([_checked(inside, id_images), _checked(outside, ood_images)]), is_ood
        )
        for key, (inside, outside) in pairs.items()
    }
    parts: dict[Key, list[Replicates]] = {key: [] for key in rankings}
    for chunk in _chunks(id_images.count, len(is_ood)):
        times = np.concatenate([id_images.times(chunk), ood_images.times(chunk)], axis=1)
        for key, ranked in rankings.items():
            ood_positive = ranked.counts(times)
            id_positive = ood_positive.negated()
            parts[key].append(
                {
                    "auroc": ranking.auroc(ood_positive),
                    "aupr_in": ranking.average_precision(id_positive),
                    "aupr_out": ranking.average_precision(ood_positive),
                    "fpr95_id_positive": ranking.fpr95(id_positive),
                    "fpr95_ood_positive": ranking.fpr95(ood_positive),
                    "detection_error": ranking.detection_error(ood_positive),
                }
            )
    return {key: _joined(part) for key, part in parts.items()}


def misclassification_replicates(
    scores: ArrayLike, is_right: NDArray[np.bool_], id_images: Resamples
) -> Replicates:
    """Replicates of the metrics of `edge_ood.metrics.detection.Misclassification`.

    Args:
        scores: Of the ID images (n,), larger = more OOD.
        is_right: Whether the predicted class is the true one, bool (n,).
        id_images: The draws of these images; right and wrong ones are drawn together.

    Returns:
        `auroc`, `aupr_right` and `aupr_wrong`, each (B,), in [0, 1]; NaN where all that was drawn
        is right, or all is wrong.
    """
    ranked = Ranking(_checked(scores, id_images), ~is_right)
    parts: list[Replicates] = []
    for chunk in _chunks(id_images.count, id_images.n):
        wrong_positive = ranked.counts(id_images.times(chunk))
        right_positive = wrong_positive.negated()
        with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is documented
            part = {
                "auroc": ranking.auroc(wrong_positive),
                "aupr_right": ranking.average_precision(right_positive),
                "aupr_wrong": ranking.average_precision(wrong_positive),
            }
        has_both = (wrong_positive.n_positive > 0) & (wrong_positive.n_negative > 0)
        parts.append({name: np.where(has_both, rate, math.nan) for name, rate in part.items()})
    return _joined(parts)


def mean_replicates(
    values: Mapping[Key, tuple[ArrayLike, ArrayLike]], images: Draws
) -> dict[Key, NDArray[np.float64]]:
    """Replicates of means over some of the images.

    Args:
        values: Numbers (n,), and the images bool (n,) over which their mean is taken, by name.
        images: The draws of these n images.

    Returns:
        By name, (B,); NaN where none of the images was drawn.

    Example:
        >>> images = Resamples("test", n=2, count=3, seed=0)
        >>> mean_replicates({"right": ([1, 1], [True, True])}, images)["right"].tolist()
        [1.0, 1.0, 1.0]
    """
    numbers = np.column_stack([np.where(among, of, 0.0) for of, among in values.values()])
    among = np.column_stack([np.asarray(among, np.float64) for _, among in values.values()])
    parts = []
    for chunk in _chunks(images.count, images.n):
        times = images.times(chunk).astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is documented
            parts.append(times @ numbers / (times @ among))
    return dict(zip(values, np.concatenate(parts).T, strict=True))


def logit_interval(
    rate: float, replicates: NDArray[np.float64], level: float
) -> tuple[float, float]:
    """Interval of a rate in (0, 1) that is symmetric on the logit scale.

    `logit(rate) -+ z * deviation / (rate * (1 - rate))`, with z the quantile `(1 + level) / 2` of
    the normal distribution and the standard deviation of the replicates.

    Args:
        rate: Of the images as they are.
        replicates: Of the rate (B,), B at least 2.
        level: In (0, 1).

    Returns:
        Both ends in (0, 1). NaN if the rate is 0, 1 or NaN, or if more than `1 - level` of the
        replicates are NaN, as when images of one kind are two or three; fewer are left out.

    Example:
        >>> import numpy as np
        >>> low, high = logit_interval(0.5, np.array([0.4, 0.6]), level=0.95)
        >>> print(f"{low:.4f} {high:.4f}")  # logits -+ 1.96 * 0.1414 / 0.25
        0.2481 0.7519
    """
    defined = _defined(replicates, level)
    if len(defined) < 2 or not 0 < rate < 1:
        return math.nan, math.nan
    reach = NormalDist().inv_cdf((1 + level) / 2) * defined.std(ddof=1) / (rate * (1 - rate))
    odds = rate / (1 - rate)
    low, high = (odds * math.exp(sign * reach) for sign in (-1, 1))
    return low / (1 + low), high / (1 + high)


def percentile_interval(replicates: NDArray[np.float64], level: float) -> tuple[float, float]:
    """The quantiles `(1 - level) / 2` and `(1 + level) / 2` of replicates (B,).

    NaN if more than `1 - level` of the replicates are, fewer are left out; and if none is expected
    beyond each end, as of fewer than 40 at level 0.95.

    Example:
        >>> import numpy as np
        >>> percentile_interval(np.arange(101.0), level=0.5)
        (25.0, 75.0)
    """
    defined = _defined(replicates, level)
    if len(defined) * (1 - level) / 2 < 1:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _defined(replicates: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    defined = replicates[~np.isnan(replicates)]
    return defined if len(defined) >= level * len(replicates) else defined[:0]


def _checked(scores: ArrayLike, images: Draws) -> NDArray[np.float64]:
    checked = checked_vector(scores, f"scores of {images.name!r}")
    if len(checked) != images.n:
        raise InputError(f"{len(checked)} scores of {images.name!r}, expected {images.n}")
    return checked


def _chunks(replicates: int, n_images: int) -> Iterator[range]:
    rows = max(_ELEMENTS_OF_A_CHUNK // n_images, 1)
    for start in range(0, replicates, rows):
        yield range(start, min(start + rows, replicates))


def _joined(parts: list[Replicates]) -> Replicates:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
