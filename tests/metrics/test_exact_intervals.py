"""Intervals without resampling: against SciPy, quadrature and distributions at the bound."""

import numpy as np
import pytest
from scipy import integrate, stats

from edge_ood.metrics.exact_intervals import clopper_pearson, ranking_bounds


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 7, 10_000])
def test_clopper_pearson_equals_scipys(n, level):
    """At no, one, some and all images."""
    for count in {0, 1, n // 3, n}:
        theirs = stats.binomtest(count, n).proportion_ci(level, method="exact")

        np.testing.assert_allclose(
            clopper_pearson(count, n, level), (theirs.low, theirs.high), atol=1e-9
        )


def bounds(name, rate, n_id, n_ood):
    return ranking_bounds(name, rate, n_id=n_id, n_ood=n_ood, level=0.95)


@pytest.mark.parametrize(
    ("name", "n"), [("auroc", 20), ("fpr95_id_positive", 30), ("fpr95_ood_positive", 20)]
)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_ends_of_rates_are_binomial(name, n, rate):
    """SciPy's exact interval of as many pairs, OOD images or ID images."""
    theirs = stats.binomtest(int(rate * n), n).proportion_ci(0.95, method="exact")

    assert (theirs.low, theirs.high) == pytest.approx(bounds(name, rate, 20, 30), abs=1e-9)


def test_detection_error_by_hand():
    """One image of each kind leaves 0.9875 for each error, and both at once are their mean."""
    assert pytest.approx((0, 0.9875)) == bounds("detection_error", 0, 1, 1)
    assert bounds("detection_error", 0, 1, 10**9) == pytest.approx((0, 0.9875 / 2))


@pytest.mark.parametrize(("n_id", "n_ood"), [(100, 100), (1000, 50), (50, 1000)])
def test_aupr_is_an_integral_of_precision(n_id, n_ood):
    """By quadrature, over recall up to the bound, with the most false alarms at every recall."""
    flagged, accepted = (1 - 0.0125 ** (1 / n) for n in (n_id, n_ood))

    def least(n_positive, n_negative, missed, alarms):
        found, _ = integrate.quad(
            lambda r: n_positive * r / (n_positive * r + n_negative * alarms), 0, 1 - missed
        )
        return found, 1

    expected_in = least(n_id, n_ood, flagged, accepted)
    expected_out = least(n_ood, n_id, accepted, flagged)

    assert expected_in == pytest.approx(bounds("aupr_in", 1, n_id, n_ood), abs=1e-7)
    assert expected_out == pytest.approx(bounds("aupr_out", 1, n_id, n_ood), abs=1e-7)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.06, 0.1])
def test_separated_samples_are_rare_where_the_bound_fails(share):
    """With a share of OOD images below all ID images, AUROC is 1 - share; so it is for ID images.

    Samples of 50 + 80 are separated with probability (1 - share)^80 or (1 - share)^50; where the
    bound is above the truth that may happen in 2.5 % of the samples at most.
    """
    low, _ = bounds("auroc", 1, 50, 80)

    for n in (50, 80):
        assert low <= 1 - share or (1 - share) ** n <= 0.025


@pytest.mark.parametrize("count", range(0, 31, 10))
def test_false_positive_rates_are_binomial_at_their_threshold(count):
    """Also between the ends, of the OOD images that one of them counts."""
    theirs = stats.binomtest(count, 30).proportion_ci(0.95, method="exact")

    found = bounds("fpr95_id_positive", count / 30, 20, 30)

    assert (theirs.low, theirs.high) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("name", ["auroc", "aupr_in", "detection_error"])
def test_rates_between_the_ends_are_left_to_resampling(name):
    """There is no bound, nor is one at the end that resampling leaves."""
    assert bounds(name, 0.5, 10, 10) is None
    assert bounds("aupr_out", 0, 10, 10) is None
    assert bounds("detection_error", 1, 10, 10) is None
