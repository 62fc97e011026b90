"""The temperature of probabilities: by a grid, by Newton's method, by scikit-learn and by hand."""

import math
import sys

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from edge_ood.calibration.temperature import (
    check_temperature,
    fit_temperature,
    measure_temperature,
)
from edge_ood.errors import CalibrationError, InputError, MissingDependencyError, ShapeError


def answers(
    count: int = 2000, classes: int = 5, *, scale: float = 3.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose probabilities at the temperature `scale` are those that labels are drawn by."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 1.5, (count, classes))
    honest[np.arange(count), generator.integers(0, classes, count)] += 3
    shares = special.softmax(honest, axis=1)
    labels = (generator.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return (scale * honest).astype(np.float32), labels.clip(max=classes - 1)


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """By scikit-learn, on probabilities by SciPy."""
    probabilities = special.softmax(logits.astype(np.float64) / temperature, axis=1)
    return float(log_loss(labels, probabilities, labels=np.arange(logits.shape[1])))


@pytest.mark.parametrize("scale", [0.02, 0.4, 3.0, 500.0])
def test_it_is_the_smallest_of_a_grid(scale: float) -> None:
    """No temperature of a fine grid has a smaller likelihood loss, whatever the logits' scale."""
    logits, labels = answers(scale=scale)

    found = fit_temperature(logits, labels)

    grid = found.temperature * np.geomspace(0.05, 20, 401)
    losses = [nll(logits, labels, t) for t in grid]
    assert pytest.approx(min(losses), abs=1e-12) == found.nll_after
    assert grid[np.argmin(losses)] == found.temperature
    assert pytest.approx(found.temperature, rel=0.06) == scale


def test_it_is_what_other_minimisers_find() -> None:
    """The root of the derivative in 1 / T, by bisection; and SciPy's on another parameter."""
    logits, labels = answers()
    z = logits.astype(np.float64)
    own = z[np.arange(len(z)), labels]

    def slope(inverse: float) -> float:
        return float(((special.softmax(inverse * z, axis=1) * z).sum(axis=1) - own).mean())

    root = 1 / optimize.brentq(slope, 1e-3, 1e3, xtol=1e-14)
    descended = optimize.minimize(lambda b: nll(logits, labels, 1 / b[0]), [1.0], tol=1e-14)

    found = fit_temperature(logits, labels).temperature

    assert pytest.approx(root, rel=1e-6) == found
    assert pytest.approx(1 / descended.x[0], rel=1e-4) == found


def test_two_classes_are_a_logistic_regression_without_intercept() -> None:
    """Its coefficient on the difference of the logits is 1 / T."""
    logits, labels = answers(classes=2)
    difference = (logits[:, 1:] - logits[:, :1]).astype(np.float64)
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    regression.fit(difference, labels)

    found = fit_temperature(logits, labels).temperature

    assert pytest.approx(1 / regression.coef_[0, 0], rel=1e-5) == found


def test_a_closed_form() -> None:
    """Margins of 2, one in four wrong: p = 3/4 where 2 / T = log 3."""
    logits = np.tile(np.array([[2.0, 0.0]]), (400, 1))
    labels = np.repeat([0, 1], [300, 100])

    found = fit_temperature(logits, labels)

    assert pytest.approx(2 / math.log(3), rel=1e-6) == found.temperature
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert pytest.approx(entropy) == found.nll_after
    assert pytest.approx(0, abs=1e-6) == found.ece_after
    before = 1 / (1 + math.exp(-2))
    assert pytest.approx(before - 0.75) == found.ece_before
    assert pytest.approx(0.75 * -math.log(before) - 0.25 * math.log(1 - before)) == found.nll_before
    assert (400, "") == (found.images, found.why)


def test_shifting_the_logits_of_an_image_changes_nothing() -> None:
    """Only differences between classes are probabilities."""
    logits, labels = answers(count=300)
    shifted = logits + 1000 * np.arange(300)[:, None]

    assert pytest.approx(fit_temperature(logits, labels).temperature, rel=1e-3) == (
        fit_temperature(shifted, labels).temperature
    )


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        ([[2.0, 0.0], [0.0, 3.0]], [0, 1], "no prediction is wrong"),
        ([[2.0, 2.0], [0.0, 3.0]], [1, 1], "no prediction is wrong"),
        ([[1.0, 0.0], [1.0, 0.0]], [1, 1], "predictions are no better than chance"),
        ([[1.0, 0.0], [1.0, 0.0]], [0, 1], "predictions are no better than chance"),
        ([[1.0, 0.0]] * 4, [0, 0, 0, 1], "4 images do not tell 0.91 from it"),
    ],
)
def test_what_tells_no_temperature_leaves_one(
    logits: list[list[float]], labels: list[int], why: str
) -> None:
    """Where likelihood has no valley, or chance explains its depth, T is 1, and it says why."""
    found = fit_temperature(np.array(logits), np.array(labels))

    assert (1.0, why, len(labels)) == (found.temperature, found.why, found.images)
    assert (found.nll_before, found.ece_before) == (found.nll_after, found.ece_after)


def test_calibrated_logits_are_left_alone_as_often_as_the_test_says() -> None:
    """A likelihood-ratio test at 95 % takes chance for more in one of twenty samples."""
    changed = sum(
        fit_temperature(*answers(count=200, scale=1.0, seed=seed)).temperature != 1.0
        for seed in range(400)
    )

    assert stats.binom.cdf(changed, 400, 0.05) > 1e-4
    assert stats.binom.sf(changed - 1, 400, 0.05) > 1e-4


def test_any_temperature_can_be_measured() -> None:
    """What a user asked for is neither chosen nor judged."""
    logits, labels = answers(count=200)

    found = measure_temperature(logits, labels, 2.0)

    assert (2.0, 200, "") == (found.temperature, found.images, found.why)
    assert pytest.approx(nll(logits, labels, 2.0)) == found.nll_after
    assert pytest.approx(nll(logits, labels, 1.0)) == found.nll_before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_no_number_is_refused(value: float) -> None:
    """With what to do about it."""
    logits, labels = answers(count=9)
    logits[3, 1] = value

    with pytest.raises(CalibrationError, match="is not a finite number") as caught:
        fit_temperature(logits, labels)

    assert "--temperature 1" in (caught.value.hint or "")


@pytest.mark.parametrize(("shape", "count"), [((0, 3), 0), ((4,), 4), ((4, 3), 3)])
def test_logits_and_labels_belong_together(shape: tuple[int, ...], count: int) -> None:
    """One label for each row of logits, at least one."""
    with pytest.raises(ShapeError, match=r"expected \(N, K\), N"):
        fit_temperature(np.ones(shape), np.zeros(count, np.int64))


def test_scipy_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that has it."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)

    with pytest.raises(MissingDependencyError, match="needs scipy") as caught:
        fit_temperature(*answers(count=9))

    assert "edge-ood[fit]" in (caught.value.hint or "")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e-9, 1e9])
def test_what_is_no_temperature_is_refused(value: float) -> None:
    """The message has the value and the range."""
    with pytest.raises(InputError, match="expected a number from 1e-06 to 1e"):
        check_temperature(value)
    for fine in (1e-6, 1, 2.5, 1e6):
        check_temperature(fine)
