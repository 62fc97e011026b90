"""Virtual logit: residual and energy in one (Wang et al. 2022)."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.bank import ClassBank
from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.registry import Count
from edge_ood.scores import LinearLayer, Outputs, ScoreHead, Statistics
from edge_ood.scores._features import penultimate
from edge_ood.scores._softmax import logsumexp
from edge_ood.scores._subspace import minor_directions, off_subspace

_WEIGHED = 1000
"""Training images that the weight of the residual is taken from."""


class VirtualLogit:
    """Fits origin, principal directions, and the weight of the residual."""

    def __init__(
        self, num_classes: int, *, linear: LinearLayer, origin: str, dimensions: int
    ) -> None:
        self._linear, self._origin, self._dimensions = linear, origin, dimensions
        self._gaussian = ClassGaussian(num_classes)
        self._sample = ClassBank(num_classes, _WEIGHED)

    def update(self, outputs: Outputs, labels: NDArray[np.int64]) -> None:
        """Take one batch into account."""
        features = penultimate(outputs)
        self._gaussian.update(features, labels, roundoff=outputs.roundoff)
        peaks = outputs.logits.max(axis=1, keepdims=True)
        self._sample.update(np.concatenate([features, peaks], axis=1), labels)

    def merge(self, other: "VirtualLogit") -> None:
        """Take everything that `other` saw into account."""
        self._gaussian.merge(other._gaussian)
        self._sample.merge(other._sample)

    def finish(self) -> dict[str, NDArray[np.float64]]:
        """`centre`, the directions of `minor_directions`, and `weight`."""
        centre, covariance = self._gaussian.total()
        if self._origin == "weights":
            origin = -np.linalg.pinv(self._linear.weight) @ self._linear.bias
            covariance = covariance + np.outer(centre - origin, centre - origin)
            centre = origin
        fitted = {"centre": centre, **minor_directions(covariance, self._dimensions)}
        rows, _ = self._sample.rows()
        residuals = off_subspace(np, rows[:, :-1] - centre, fitted)
        return {**fitted, "weight": np.asarray(rows[:, -1].mean() / residuals.mean())}


def vim(
    xp: Any,
    outputs: Outputs,
    statistics: Statistics,
    *,
    origin: Literal["mean", "weights"] = "mean",
    dimensions: Count = 0,
) -> Any:
    """Residual of the features, in units of the largest logit, less the logits' log-sum-exp.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K) and the last of `features` (N, D).
        statistics: `centre` (D,), `minor` (D, D - d) or `principal` (D, d) directions, `weight` ().
        origin: What residuals are about: the `mean` of training features, or the point that the
            last layer's `weights` send to zero, as in the paper.
        dimensions: d, directions that count as known; 0 for 1000 of 2048 or more features, 512 of
            768 or more, else half of them.

    Returns:
        Scores of shape (N,), in logit units, unbounded; larger is more out-of-distribution.

    Source: Wang et al. 2022, arXiv:2203.10807, eqs. 4 to 7, as the logarithm of the virtual class's
    odds. Where weights are nearly of rank K - 1 the paper's origin is far from every image (168
    where features have a length of 5), so the mean is the default.
    """
    residual = off_subspace(xp, penultimate(outputs) - statistics["centre"], statistics)
    return statistics["weight"] * residual - logsumexp(xp, outputs.logits)


HEAD = ScoreHead(
    "vim",
    ("logits", "features"),
    vim,
    source="Wang et al. 2022, eqs. 4 to 7",
    fit=VirtualLogit,
    reads_linear=True,
)
