"""The sentence that a user reads: its numbers are those of the beta distribution."""

import re

import pytest
from scipy import stats

from edge_ood.calibration.guarantee import Guarantee, Sample
from edge_ood.calibration.guarantee_sentences import (
    guarantee_sentence,
    manual_threshold_sentence,
    rate_in_use,
)
from edge_ood.errors import CalibrationError


def percentages(sentence: str) -> list[str]:
    """All of them, in order."""
    return re.findall(r"([\d.]+) %", sentence)


@pytest.mark.parametrize(("n", "alpha", "rank"), [(19, 0.05, 19), (500, 0.05, 476), (99, 0.1, 90)])
def test_rates_between_which_the_average_lies(n: int, alpha: float, rank: int) -> None:
    """The rate, and the interval that holds nine in ten of the rates in use."""
    low, high = stats.beta.interval(0.9, n + 1 - rank, rank)

    found = guarantee_sentence(Guarantee(alpha), Sample(n), ())

    expected = [alpha, 0.9, low, high]
    assert [f"{100 * share:.3g}" for share in expected] == percentages(found)
    assert f"averaged over calibration sets of {n} images" in found


@pytest.mark.parametrize(("n", "rank"), [(59, 59), (500, 484)])
def test_the_share_of_calibration_sets_that_hold_the_rate(n: int, rank: int) -> None:
    """The rate, the confidence, and the mean of the rates in use."""
    ranks = [rank, rank - 1]
    holds = stats.beta.sf(0.95, ranks, [n + 1 - r for r in ranks]) >= 0.95
    assert [True, False] == holds.tolist()

    found = guarantee_sentence(Guarantee(0.05, 0.95), Sample(n), ())

    expected = [0.05, 0.95, (n + 1 - rank) / (n + 1)]
    assert [f"{100 * share:.3g}" for share in expected] == percentages(found)


@pytest.mark.parametrize(
    ("guarantee", "n", "rank"),
    [(Guarantee(0.05), 500, 476), (Guarantee(0.05, 0.95), 500, 484), (Guarantee(0.5), 1, 1)],
)
def test_the_rate_in_use_is_beta(guarantee: Guarantee, n: int, rank: int) -> None:
    """Mean and middle nine tenths of Beta(n + 1 - k, k), with and without confidence."""
    rate = stats.beta(n + 1 - rank, rank)

    found = rate_in_use(guarantee, n)

    expected = [rate.mean(), rate.ppf(0.05), rate.ppf(0.95)]
    assert expected == pytest.approx([found.mean, found.low, found.high])


def test_too_few_images_guarantee_nothing() -> None:
    """There is no such sentence."""
    with pytest.raises(CalibrationError, match="18 calibration scores cannot give"):
        guarantee_sentence(Guarantee(), Sample(18), ())


def test_classes_are_counted_and_those_without_a_threshold_named() -> None:
    """How many images per class, for how many classes, and which share one threshold."""
    sample = Sample(100, (50, 31, 18, 1))

    found = guarantee_sentence(Guarantee(per_class=True), sample, ("a", "b", "rare", "rarer"))

    assert "that are predicted as one class" in found
    assert "31 to 50 images of that class" in found
    assert "so for 2 of 4 predicted classes. Fewer than 19 images" in found
    assert found.endswith("nothing is guaranteed for each of them: rare, rarer")


def test_all_classes_may_have_a_threshold() -> None:
    """With confidence and equally many images each."""
    found = guarantee_sentence(
        Guarantee(0.05, 0.95, per_class=True), Sample(120, (60, 60)), ("a", "b")
    )

    assert "for 95 % of calibration sets of 60 images of it" in found
    assert found.endswith("so for every predicted class")


def test_many_names_are_cut() -> None:
    """A thousand rare classes are no sentence."""
    counts, names = (20, *[0] * 999), tuple(f"c{i}" for i in range(1000))

    found = guarantee_sentence(Guarantee(per_class=True), Sample(20, counts), names)

    assert found.endswith("for each of them: c1, c2, c3, c4, c5, ...")


def test_a_manual_threshold_guarantees_nothing() -> None:
    """The scores are named."""
    assert manual_threshold_sentence(["energy", "msp"]).startswith(
        "energy, msp: a manual threshold decides, for which no rate is guaranteed"
    )
