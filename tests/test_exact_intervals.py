"""Intervals without resampling: against SciPy, quadrature and the worst distributions."""

import numpy as np
import pytest
from scipy import integrate, stats

from edge_ood.exact_intervals import clopper_pearson, separation_bounds


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 7, 10_000])
def test_clopper_pearson_equals_scipys(n, level):
    """At no, one, some and all images."""
    for count in {0, 1, n // 3, n}:
        theirs = stats.binomtest(count, n).proportion_ci(level, method="exact")

        np.testing.assert_allclose(
            clopper_pearson(count, n, level), (theirs.low, theirs.high), atol=1e-9
        )


def test_bounds_of_a_separated_sample_by_hand():
    """One image of each kind leaves 0.025 for the pair, and 0.9875 for each error."""
    bounds = separation_bounds(1, 1, 0.95)

    assert bounds["auroc"] == pytest.approx((0.025, 1))
    assert bounds["detection_error"] == pytest.approx((0, 0.9875))


@pytest.mark.parametrize(("n_id", "n_ood"), [(100, 100), (1000, 50), (50, 1000)])
def test_bounds_of_aupr_are_integrals_of_precision(n_id, n_ood):
    """By quadrature, over recall up to the bound, with the most false alarms at every recall."""
    flagged, accepted = (1 - 0.0125 ** (1 / n) for n in (n_id, n_ood))

    def least(n_positive, n_negative, missed, alarms):
        found, _ = integrate.quad(
            lambda r: n_positive * r / (n_positive * r + n_negative * alarms), 0, 1 - missed
        )
        return found, 1

    bounds = separation_bounds(n_id, n_ood, 0.95)

    assert least(n_id, n_ood, flagged, accepted) == pytest.approx(bounds["aupr_in"], abs=1e-7)
    assert least(n_ood, n_id, accepted, flagged) == pytest.approx(bounds["aupr_out"], abs=1e-7)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.06, 0.1])
def test_separated_samples_are_rare_where_the_bound_fails(share):
    """With a share of OOD images below all ID images, AUROC is 1 - share; so it is for ID images.

    Samples of 50 + 80 are separated with probability (1 - share)^80 or (1 - share)^50; where the
    bound is above the truth that may happen in 2.5 % of the samples at most.
    """
    low, _ = separation_bounds(50, 80, 0.95)["auroc"]

    for n in (50, 80):
        assert low <= 1 - share or (1 - share) ** n <= 0.025
