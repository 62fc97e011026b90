"""Intervals that need no resampling: of shares of images, and of ranking metrics at their ends.

All are conservative: over many test sets they hold the true rate at least as often as their level
says, for independent images and whatever the distribution of the scores.
"""

import math

from edge_ood.metrics.beta import beta_quantile

__all__ = ["clopper_pearson", "ranking_bounds"]


def clopper_pearson(count: int, n: int, level: float) -> tuple[float, float]:
    """Interval of a probability of which `count` of `n` independent images are evidence.

    Args:
        count: From 0 to n.
        n: At least 1.
        level: In (0, 1).

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.

    Example:
        >>> low, high = clopper_pearson(0, 2, level=0.5)
        >>> low, round(high, 9)  # 1 - 0.25 ** (1 / 2)
        (0.0, 0.5)
    """
    tail = (1 - level) / 2
    low = float(beta_quantile(tail, count, n + 1 - count)) if count else 0.0
    high = float(beta_quantile(1 - tail, count + 1, n - count)) if count < n else 1.0
    return low, high


def ranking_bounds(
    name: str, rate: float, *, n_id: int, n_ood: int, level: float
) -> tuple[float, float] | None:
    """The least that is uncertain about a ranking metric, as far as resampling may not show it.

    - AUROC 0 or 1: the images form `min(n_id, n_ood)` independent pairs, all in the wrong or all in
      the right order, which is the Clopper-Pearson interval of so many images.
    - FPR95, whatever it is: the Clopper-Pearson interval of the images that it counts, at their
      threshold. That the threshold is from a sample too is left to resampling.
    - AUPR 1 and detection error 0 say that all OOD images outscore all ID images. The largest ID
      score is then a threshold at which a share u of new ID images is flagged and a share v of new
      OOD images accepted, where u > 1 - t^(1 / n_id) and v > 1 - t^(1 / n_ood) each have
      probability t, together at most 2 t = (1 - level) / 2. The ROC curve passes through that
      point. So the detection error is at most (u + v) / 2, and AUPR-Out at least the integral of
      r / (r + c) over recalls r up to 1 - v, with c = u n_id / n_ood the false alarms for each
      image of OOD; AUPR-In likewise with the classes exchanged.

    Args:
        name: As in `edge_ood.metrics.detection.PairMetrics`.
        rate: The metric.
        n_id: Number of ID images, at least 1.
        n_ood: Number of OOD images, at least 1.
        level: In (0, 1).

    Returns:
        None where there is no such bound: resampling alone has to tell.

    Source: the problem is that of Obuchowski & Lieber 2002, Confidence bounds when the estimated
    ROC area is 1.0; the bounds are derived here, without their normal distributions.

    Example:
        >>> low, high = ranking_bounds("auroc", 1.0, n_id=2, n_ood=9, level=0.5)
        >>> round(low, 9), high  # 0.25 ** (1 / 2)
        (0.5, 1.0)
    """
    trials = {"fpr95_id_positive": n_ood, "fpr95_ood_positive": n_id}
    if rate in (0, 1):
        trials["auroc"] = min(n_id, n_ood)
    if name in trials:
        return clopper_pearson(round(rate * trials[name]), trials[name], level)
    if rate != (0 if name == "detection_error" else 1):
        return None
    tail = (1 - level) / 4
    flagged, accepted = (1 - tail ** (1 / n) for n in (n_id, n_ood))
    if name == "detection_error":
        return 0.0, (flagged + accepted) / 2
    if name == "aupr_in":
        return _least_precision(1 - flagged, accepted * n_ood / n_id), 1.0
    return _least_precision(1 - accepted, flagged * n_id / n_ood), 1.0


def _least_precision(recall: float, alarms: float) -> float:
    """The integral of r / (r + alarms) from 0 to `recall`."""
    return recall - alarms * math.log1p(recall / alarms)
