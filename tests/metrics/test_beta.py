"""The beta distribution: equal to SciPy's, over sizes and tails."""

import numpy as np
import pytest
from scipy.special import betainc, betaincinv

from edge_ood.metrics.beta import beta_cdf, beta_quantile

SIZES = [1, 2, 19, 500, 20_000]
ROUNDING = 1e-11  # of sums of about a + b terms, in float64
PRECISION = 1e-8  # a tenth of float32's


@pytest.mark.parametrize("n", SIZES)
def test_probabilities_equal_scipy(n):
    """On both sides of the mean, for all ranks of n."""
    ranks = np.unique(np.linspace(1, n, 40).astype(int))
    x = np.concatenate([np.linspace(0, 1, 21), 0.5 ** np.arange(2, 20)])[:, None]

    found = beta_cdf(x, ranks, n + 1 - ranks)

    np.testing.assert_allclose(found, betainc(ranks, n + 1 - ranks, x), atol=ROUNDING)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("q", [1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
def test_quantiles_equal_scipy(n, q):
    """To more digits than a float32 p-value has."""
    ranks = np.unique(np.linspace(1, n, 40).astype(int))

    found = beta_quantile(q, ranks, n + 1 - ranks)

    np.testing.assert_allclose(found, betaincinv(ranks, n + 1 - ranks, q), rtol=PRECISION)


def test_beta_of_1_and_n_is_a_power():
    """Beta(1, n) and Beta(n, 1) are powers; the ends are 0 and 1."""
    x = np.linspace(0, 1, 11)

    np.testing.assert_allclose(beta_cdf(x, 1, 59), 1 - (1 - x) ** 59, atol=1e-14)
    np.testing.assert_allclose(beta_cdf(x, 59, 1), x**59, atol=1e-14)
    np.testing.assert_allclose(beta_quantile(0.95, 1, 59), 1 - 0.05 ** (1 / 59), rtol=1e-12)
