"""Layer weights: by hand, by scikit-learn, and what cannot be weighted."""

import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edge_ood.calibration.fusion import logistic_weights, uniform_weights
from edge_ood.calibration.gaussian import ClassGaussian
from edge_ood.errors import CalibrationError, MissingDependencyError, ShapeError


def distances(count: int, centres: tuple[float, ...], seed: int) -> np.ndarray:
    """Distances of layers on very different scales."""
    noise = np.random.default_rng(seed).normal(size=(count, len(centres)))
    return (np.array(centres) + noise) * np.array([1.0, 100.0, 0.01])[: len(centres)]


def test_uniform_weights_give_every_layer_deviation_one() -> None:
    """By hand: deviations 4 and 100, of means 8 and 200, weigh 1/4 and 1/100."""
    of_id = np.array([[4.0, 100.0], [12.0, 300.0]])

    np.testing.assert_allclose([0.25, 0.01], uniform_weights(of_id), rtol=1e-12)


def test_a_covariance_of_as_many_directions_as_images_weighs_by_their_number() -> None:
    """With more directions than images, every distance is N (1 - 1 / n), n of the own class.

    The residuals are independent, so each image's leverage is 1 - 1/n, whatever the features are;
    a deviation of rounding alone must not give such a layer all the weight.
    """
    generator = np.random.default_rng(10)
    labels = np.repeat([0, 1], 10)
    distances = []
    for directions in (3, 50):
        features = generator.normal(size=(20, directions)).astype(np.float32)
        gaussian = ClassGaussian(2)
        gaussian.update(features, labels)
        fitted = gaussian.finish()
        z = (features - fitted["centre"]) @ fitted["whitening"]
        distances.append(((z - fitted["means"][labels]) ** 2).sum(axis=1))
    np.testing.assert_allclose(distances[1], 20 * 0.9, rtol=1e-4)

    few, many = uniform_weights(np.stack(distances, axis=1))

    assert 1 / np.sqrt(2 * 20 * 0.9) == pytest.approx(many, rel=1e-4)
    assert many < few <= 1 / np.sqrt(2 * 3) * (1 + 1e-9)


def test_one_layer_keeps_its_distance() -> None:
    """A single layer has the weight 1, so its score stays the squared distance."""
    np.testing.assert_array_equal([1.0], uniform_weights(np.array([[3.0], [9.0]])))


def test_logistic_weights_rank_as_scikit_learn_does() -> None:
    """The weighted sum orders images as a standardised, balanced logistic regression does."""
    of_id, of_ood = distances(80, (0, 0, 0), 0), distances(40, (1, 0, 2), 1)
    both = np.concatenate([of_id, of_ood])
    expected = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    expected.fit(both, np.arange(120) >= 80)

    weights = logistic_weights(of_id, of_ood)

    sums = both @ weights
    offsets = expected.decision_function(both) - sums
    np.testing.assert_allclose(offsets, offsets[0], rtol=0, atol=1e-6 * np.ptp(sums))


def test_logistic_weights_do_not_depend_on_the_scale() -> None:
    """A layer measured in units a thousand times as large has a thousandth of the weight."""
    of_id, of_ood = distances(80, (0, 0), 2), distances(80, (1, 1), 3)
    scale = np.array([1000.0, 1.0])

    first = logistic_weights(of_id, of_ood)
    second = logistic_weights(of_id * scale, of_ood * scale)

    np.testing.assert_allclose(first / scale, second, rtol=1e-6)


def test_a_layer_that_tells_nothing_has_no_weight() -> None:
    """Only the layer that differs between the two sets decides."""
    of_id, of_ood = distances(400, (0, 0), 4), distances(400, (3, 0), 5)

    informative, silent = logistic_weights(of_id, of_ood) * np.array([1.0, 100.0])

    assert informative > 1
    assert abs(silent) < 0.2 * informative


@pytest.mark.parametrize(
    ("of_id", "error", "message"),
    [
        (np.zeros(4), ShapeError, r"shape \(4,\), expected \(N, L\)"),
        (np.zeros((0, 2)), ShapeError, r"shape \(0, 2\)"),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), CalibrationError, "not finite"),
        (np.zeros((3, 2)), CalibrationError, "same distance for every image"),
    ],
)
def test_unusable_distances_are_refused(
    of_id: np.ndarray, error: type[Exception], message: str
) -> None:
    """Wrong shapes, NaN and a layer without spread are named."""
    with pytest.raises(error, match=message):
        uniform_weights(of_id)
    with pytest.raises(error, match=message):
        logistic_weights(of_id, of_id)


def test_weights_that_do_not_converge_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished fit is an error with a way out, not a silent half-result."""
    fit = LogisticRegression.fit

    def unfinished(self: LogisticRegression, *arguments: object) -> LogisticRegression:
        fit(self, *arguments)
        self.n_iter_ = np.array([self.max_iter])
        return self

    monkeypatch.setattr(LogisticRegression, "fit", unfinished)

    with pytest.raises(CalibrationError, match="did not converge in 1000") as raised:
        logistic_weights(distances(9, (0, 0), 6), distances(9, (1, 1), 7))

    assert "uniform" in str(raised.value.hint)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform weights need nothing; a regression names what to install."""
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)

    with pytest.raises(MissingDependencyError, match="needs scikit-learn") as raised:
        logistic_weights(distances(9, (0, 0), 8), distances(9, (1, 1), 9))

    assert "edge-ood[fit]" in str(raised.value.hint)
