"""Divergence from the typical probabilities of a class (Hendrycks et al. 2022)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ood.calibration.class_means import ClassMeans
from edge_ood.scores import Outputs, ScoreHead, Statistics
from edge_ood.scores._features import OfRows
from edge_ood.scores._softmax import below_peak, log_total, softmax

_LEAST_SHARE = 1e-30


def typical_shares(num_classes: int, **parameters: Any) -> OfRows:
    """Fits the mean probabilities of each class's images."""

    def finish(sums: ClassMeans) -> dict[str, NDArray[np.float64]]:
        return {"logs": np.log(np.maximum(sums.means(), _LEAST_SHARE))}

    def rows(outputs: Outputs) -> Any:
        return softmax(np, np.asarray(outputs.logits, np.float64), axis=1)

    return OfRows(ClassMeans(num_classes), finish, rows)


def kl_matching(xp: Any, outputs: Outputs, statistics: Statistics) -> Any:
    """The smallest KL divergence of the probabilities from those typical of a class.

    Args:
        xp: Array namespace of `outputs`.
        outputs: Uses `logits` (N, K).
        statistics: `logs` (K, K), logarithms of each class's mean probabilities.

    Returns:
        Scores of shape (N,), in nats, >= 0; larger is more out-of-distribution.

    Source: Hendrycks et al. 2022, arXiv:1911.11132, section 4.2. Classes are the labelled ones; the
    paper takes the predicted ones, of which some may have no image.
    """
    logs = below_peak(xp, outputs.logits)
    logs = logs - xp.expand_dims(log_total(xp, logs), axis=1)
    shares = softmax(xp, outputs.logits, axis=1)
    expected = xp.tensordot(shares, statistics["logs"], axes=((1,), (1,)))
    return xp.sum(shares * logs, axis=1) - xp.max(expected, axis=1)


HEAD = ScoreHead(
    "kl_matching",
    ("logits",),
    kl_matching,
    source="Hendrycks et al. 2022, section 4.2",
    fit=typical_shares,
    not_recommended="9 points of AUROC below `msp` on CIFAR-10, and never above `gen`",
)
