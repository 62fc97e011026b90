"""Gaussian blur against SciPy's."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from edge_ood.images.blur import gaussian_blur

ROUNDING = 1e-12  # float64 sums of values in [0, 1] in another order


@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.5, 6.0])
@pytest.mark.parametrize("side", [1, 2, 9, 32])
@pytest.mark.parametrize("axes", [(0, 1), (0, 1, 2)])
def test_as_scipy_with_the_edge_continued(side: int, sigma: float, axes: tuple[int, ...]) -> None:
    """Kernel, its end and the edges are SciPy's, for kernels wider than the image, too."""
    image = np.random.default_rng(0).uniform(size=(side, side, 3))
    by_axis = [sigma if axis in axes else 0 for axis in range(3)]

    expected = gaussian_filter(image, by_axis, mode="nearest", truncate=4.0)

    np.testing.assert_allclose(gaussian_blur(image, sigma, axes=axes), expected, atol=ROUNDING)
