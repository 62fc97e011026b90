"""What a calibration promises, in one sentence for whoever relies on it."""

from edge_ood.calibration.beta import beta_quantile
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.calibration.threshold import threshold_rank

__all__ = ["statement"]

_MIDDLE = 0.9
"""Share of calibration sets for which the interval of rates is stated."""


def statement(guarantee: Guarantee, n: int) -> str:
    """The finite-sample statement of a threshold from n calibration images.

    The rate in use, the share of all known images that a threshold flags, differs from calibration
    set to calibration set: with rank k it is Beta(n + 1 - k, k) for independent images and scores
    without ties, and less with ties. Its mean is (n + 1 - k) / (n + 1).

    Source: Angelopoulos & Bates 2021, arXiv:2107.07511, section 3.2; see
    `edge_ood.calibration.threshold`.
    """
    rank = threshold_rank(n, guarantee.alpha, guarantee.confidence)
    flagged, kept = n + 1 - rank, rank
    most = f"at most {percent(guarantee.alpha)} of new known images are flagged"
    if guarantee.confidence:
        return (
            f"{most}, for {percent(guarantee.confidence)} of all calibration sets of {n} images "
            f"that could have been drawn; averaged over all of them it is "
            f"{percent(flagged / (n + 1))}"
        )
    low, high = beta_quantile([(1 - _MIDDLE) / 2, (1 + _MIDDLE) / 2], flagged, kept)
    return (
        f"{most}, averaged over all calibration sets of {n} images that could have been drawn; for "
        f"{percent(_MIDDLE)} of them it is {percent(low)} to {percent(high)}"
    )


def percent(share: float) -> str:
    """A share such as `5 %`, with three significant digits."""
    return f"{100 * share:.3g} %"
