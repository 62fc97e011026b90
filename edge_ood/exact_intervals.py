"""Intervals that need no resampling: of shares of images, and of metrics at their perfect value.

All are conservative: over many test sets they hold the true rate at least as often as their level
says, for independent images and whatever the distribution of the scores.
"""

import math

from edge_ood.calibration.beta import beta_quantile

__all__ = ["clopper_pearson", "separation_bounds"]


def clopper_pearson(count: int, n: int, level: float) -> tuple[float, float]:
    """Interval of a probability of which `count` of `n` independent images are evidence.

    Args:
        count: From 0 to n.
        n: At least 1.
        level: In (0, 1).

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    tail = (1 - level) / 2
    low = float(beta_quantile(tail, count, n + 1 - count)) if count else 0.0
    high = float(beta_quantile(1 - tail, count + 1, n - count)) if count < n else 1.0
    return low, high


def separation_bounds(n_id: int, n_ood: int, level: float) -> dict[str, tuple[float, float]]:
    """Intervals of ranking metrics where every OOD image of the sample outscores every ID image.

    Resampling such a sample always gives AUROC 1, however few images it has.

    - AUROC: the images form `min(n_id, n_ood)` independent pairs, all in the right order, so it is
      the Clopper-Pearson bound of so many successes.
    - The largest ID score is a threshold at which a share u of new ID images is flagged and a share
      v of new OOD images accepted. Each of u <= 1 - t^(1 / n_id) and v <= 1 - t^(1 / n_ood) fails
      with probability t, both together at most with 2 t = (1 - level) / 2. The ROC curve passes
      through this point, so the detection error is at most (u + v) / 2, and AUPR-Out at least the
      integral of r / (r + c) over recalls r up to 1 - v, with c = u n_id / n_ood the most false
      alarms for each image of OOD; AUPR-In likewise with the classes exchanged.

    Args:
        n_id: Number of ID images, at least 1.
        n_ood: Number of OOD images, at least 1.
        level: In (0, 1).

    Returns:
        By the names of `edge_ood.metrics.PairMetrics`, except for the two FPR95, of which
        `clopper_pearson` has the interval at their threshold.

    Source: the problem is that of Obuchowski & Lieber 2002, Confidence bounds when the estimated
    ROC area is 1.0; the bounds are derived here, without their normal distributions.
    """
    pairs = min(n_id, n_ood)
    tail = (1 - level) / 4
    flagged, accepted = (1 - tail ** (1 / n) for n in (n_id, n_ood))
    return {
        "auroc": clopper_pearson(pairs, pairs, level),
        "aupr_in": (_least_precision(1 - flagged, accepted * n_ood / n_id), 1.0),
        "aupr_out": (_least_precision(1 - accepted, flagged * n_id / n_ood), 1.0),
        "detection_error": (0.0, (flagged + accepted) / 2),
    }


def _least_precision(recall: float, alarms: float) -> float:
    """The integral of r / (r + alarms) from 0 to `recall`."""
    return recall - alarms * math.log1p(recall / alarms)
