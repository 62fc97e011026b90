"""Drift: SciPy's exact test on raw scores as the oracle, the level by simulation, and delays."""

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp, kstest

from edge_ood.calibration.drift import Windows, drift_pvalue
from edge_ood.errors import InputError


def conformal(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """(1 + calibration scores that are as large) / (n + 1)."""
    return (1 + (calibration[None] >= scores[:, None]).sum(1)) / (len(calibration) + 1)


@pytest.mark.parametrize(("images", "size"), [(19, 30), (200, 50), (1000, 200)])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_it_is_the_two_sample_test_of_the_scores(images: int, size: int, shift: float) -> None:
    """P-values know the ranks of the scores, and the test needs no more."""
    rng = np.random.default_rng(images + size)
    calibration, scores = rng.normal(size=images), rng.normal(shift, size=size)

    found = drift_pvalue(conformal(scores, calibration), images)

    assert float(ks_2samp(scores, calibration).pvalue) == pytest.approx(found, rel=1e-9)


def test_the_level_is_held_where_uniform_p_values_are_not() -> None:
    """100 calibration images, windows of 200: rejections are no more than chance allows.

    Taken for independent and uniform, the same p-values raise several times as many alarms.
    """
    rng, level, draws = np.random.default_rng(0), 0.05, 600
    alarms = uniform = 0
    for _ in range(draws):
        calibration, scores = rng.normal(size=100), rng.normal(size=200)
        pvalues = conformal(scores, calibration)
        alarms += drift_pvalue(pvalues, 100) <= level
        uniform += kstest(pvalues, "uniform").pvalue <= level

    assert alarms <= binom.ppf(0.9999, draws, level)
    assert uniform > 3 * alarms


def fed(windows: Windows, pvalues: np.ndarray, label: str = "a") -> list:
    found = [windows.add(float(p), label, is_ood=bool(p <= 0.05)) for p in pvalues]
    return [window for window in found if window is not None]


@pytest.mark.parametrize(("shift", "most"), [(0.5, 400), (1.0, 100), (3.0, 50)])
def test_a_change_is_told_soon(shift: float, most: int) -> None:
    """Images until the first alarm at level 0.001, for scores that grew by some deviations."""
    rng = np.random.default_rng(1)
    calibration = rng.normal(size=1000)
    before, after = rng.normal(size=2000), rng.normal(shift, size=2000)

    calm = fed(Windows(50, 0.001, 1000), conformal(before, calibration))
    changed = fed(Windows(50, 0.001, 1000), conformal(after, calibration))

    assert not any(window.is_alarm for window in calm)
    first = next(window for window in changed if window.is_alarm)
    assert first.first + first.images <= most


def test_a_window_says_what_changed() -> None:
    """The share flagged, quantiles as NumPy's, and the class that is concerned."""
    windows = Windows(4, 0.01, 99)
    images = [(0.5, "cat", False), (0.01, "dog", True), (0.02, "dog", True), (0.9, "cat", False)]

    *nothing, window = [windows.add(p, label, is_ood=is_ood) for p, label, is_ood in images]

    assert [None] * 3 == nothing
    assert (0, 4, 0.5) == (window.first, window.images, window.flagged)
    expected = np.quantile([0.5, 0.01, 0.02, 0.9], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(window.quantiles, expected, atol=1e-4)
    assert ("dog", 2, 2) == (window.label, window.label_flagged, window.label_images)
    assert "most of 'dog': 2 of 2" in str(window)
    assert window.to_json()["event"] == ("drift" if window.is_alarm else "window")


def test_windows_do_not_overlap_and_skip_what_has_no_number() -> None:
    """A NaN is an image that could not be scored."""
    windows = Windows(3, 0.01, 99)

    found = fed(windows, np.array([0.5, np.nan, 0.6, 0.7, 0.1, np.nan, 0.2, 0.3, 0.4]))

    assert [0, 3] == [window.first for window in found]
    assert 0.01 * 10 * 86_400 / 3 == pytest.approx(windows.false_alarms_a_day(10))


@pytest.mark.parametrize(
    ("size", "level", "images"), [(1, 0.1, 9), (9, 0, 9), (9, 1, 9), (9, 0.1, 0)]
)
def test_absurd_numbers_are_refused(size: int, level: float, images: int) -> None:
    """One image, no level, no calibration."""
    with pytest.raises(InputError):
        Windows(size, level, images)
