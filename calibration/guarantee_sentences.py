"""What a calibration guarantees, in sentences for whoever relies on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.calibration.threshold import threshold_rank
from edge_ood.metrics.beta import beta_quantile

__all__ = [
    "INTERVAL_SHARE",
    "RateInUse",
    "guarantee_sentence",
    "manual_threshold_sentence",
    "rate_in_use",
]

INTERVAL_SHARE = 0.9
"""Share of calibration sets for which the interval of rates is stated."""

_MOST_NAMES = 5


@dataclass(frozen=True)
class RateInUse:
    """The share of all ID images that a threshold flags, over calibration sets of one size.

    Attributes:
        mean: Its mean, (n + 1 - k) / (n + 1).
        low: Its lower end for the middle 90 % of calibration sets.
        high: Its upper end.
    """

    mean: float
    low: float
    high: float


def rate_in_use(guarantee: Guarantee, n: int) -> RateInUse:
    """How the rate in use varies for n calibration images: Beta(n + 1 - k, k).

    Args:
        guarantee: What is held.
        n: Images that one threshold comes from.

    Raises:
        CalibrationError: If n is too small.
    """
    rank = threshold_rank(n, guarantee.alpha, guarantee.confidence)
    ends = [(1 - INTERVAL_SHARE) / 2, (1 + INTERVAL_SHARE) / 2]
    low, high = beta_quantile(ends, n + 1 - rank, rank).tolist()
    return RateInUse((n + 1 - rank) / (n + 1), low, high)


def guarantee_sentence(guarantee: Guarantee, sample: Sample, classes: Sequence[str]) -> str:
    """The finite-sample guarantee of thresholds from a sample of calibration images.

    The rate in use, the share of all ID images that a threshold flags, differs from calibration
    set to calibration set: with rank k of n it is Beta(n + 1 - k, k) for independent images and
    scores without ties, and less with ties. Its mean is (n + 1 - k) / (n + 1).

    Per class the same holds among the images that are predicted as one class, whatever they show:
    a class that is often mistaken for another may be flagged more often. Classes that share the
    threshold of all images have no guarantee of their own.

    Args:
        guarantee: What is held.
        sample: The images that the thresholds come from.
        classes: K names.

    Raises:
        CalibrationError: If the sample is too small.

    Source: Angelopoulos & Bates 2021, arXiv:2107.07511, sections 3.2 and 4.1; see
    `edge_ood.calibration.threshold`.
    """
    if not guarantee.per_class:
        return _most(guarantee, "new ID images", f"{sample.n} images like these", sample.n)
    own = guarantee.own_classes(sample.class_counts).tolist()
    fewest, most = (pick(sample.class_counts[i] for i in own) for pick in (min, max))
    held = _most(
        guarantee,
        "new ID images that are predicted as one class",
        f"{fewest} to {most} images of that class" if fewest < most else f"{fewest} images of it",
    )
    others = [name for i, name in enumerate(classes) if i not in set(own)]
    if not others:
        return f"{held}; so for every predicted class"
    shown = ", ".join(others[:_MOST_NAMES]) + (", ..." if len(others) > _MOST_NAMES else "")
    return (
        f"{held}; so for {len(own)} of {len(classes)} predicted classes. Fewer than "
        f"{guarantee.minimum_images} images were predicted as one of the others, which share the "
        f"threshold of all images; nothing is guaranteed for each of them: {shown}"
    )


def manual_threshold_sentence(heads: Sequence[str]) -> str:
    """What is guaranteed where thresholds are manual: nothing."""
    return (
        f"{', '.join(heads)}: a manual threshold decides, for which no rate is guaranteed; "
        "p-values are those of the calibration images all the same"
    )


def _most(guarantee: Guarantee, of_what: str, sets: str, n: int | None = None) -> str:
    """At most so many are flagged, in the sense of the guarantee, and how it varies for n."""
    most = f"at most {_percent(guarantee.alpha)} of {of_what} are flagged"
    rate = None if n is None else rate_in_use(guarantee, n)
    if guarantee.confidence:
        share = _percent(guarantee.confidence)
        held = f"{most}, for {share} of calibration sets of {sets}"
        return f"{held}; averaged over all such sets it is {_percent(rate.mean)}" if rate else held
    held = f"{most}, averaged over calibration sets of {sets}"
    if not rate:
        return held
    low, high = _percent(rate.low), _percent(rate.high)
    return f"{held}; for {_percent(INTERVAL_SHARE)} of such sets it is {low} to {high}"


def _percent(share: float) -> str:
    """A share such as `5 %`, with three significant digits."""
    return f"{100 * share:.3g} %"
