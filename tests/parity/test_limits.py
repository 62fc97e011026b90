"""How far a file may be from its reference: by hand, on values and float32 errors made up here."""

from collections.abc import Callable

import numpy as np
import pytest

from edge_ood.calibration.decision import Decision
from edge_ood.images.preprocess import Preprocess
from edge_ood.parity.limits import (
    Evaluator,
    Expected,
    Pass,
    Reference,
    Subject,
    largest_errors,
)
from edge_ood.scores import BoundHead, Outputs, ScoreHead

SIZE = 2
REAL = np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [2.0, 2.0]])  # of deviation 1
EXTREMES = np.array([[500.0, 0.0], [0.0, 0.0]])


def allowed(*errors: tuple[float, float]) -> np.ndarray:
    """Allowed errors (6,) of features that float32 programs get wrong by so much, on one image."""
    exact = np.concatenate([REAL, EXTREMES])

    def program(features: np.ndarray) -> Evaluator:
        outputs = Outputs(np.zeros((len(exact), 2)), features={"penultimate": features})
        return lambda images: outputs  # type: ignore[return-value]  # nothing is perturbed

    wrong = []
    for real_error, extreme_error in errors:
        error = np.zeros_like(exact)
        error[1, 1], error[4, 0] = real_error, -extreme_error
        wrong.append(program(exact + error))
    batch = np.zeros((len(exact), SIZE, SIZE, 3), np.uint8)
    expected = Expected.of(
        Subject(Preprocess(SIZE), [], Decision.none(["x"], 2)),
        Reference(program(exact), wrong),
        batch,
        real=len(REAL),
    )
    return expected.allowed["features/penultimate"]


@pytest.mark.parametrize(
    ("real_error", "extreme_error", "limits"),
    [
        (1e-6, 1e-6, (1e-4, 1e-4)),
        (1e-6, 1e-3, (1e-4, 4e-3)),
        (1e-3, 1e-6, (4e-3, 1e-4)),
    ],
)
def test_features_may_be_off_by_a_share_of_their_deviation_or_as_float32_is(
    real_error: float, extreme_error: float, limits: tuple[float, float]
) -> None:
    """1e-4 of the deviation, or 4 times plain float32's error, for real images and extremes."""
    found = allowed((real_error, extreme_error))

    np.testing.assert_allclose(found, np.repeat(limits, [4, 2]), rtol=1e-9)


def test_the_worse_of_two_programs_sets_the_limit() -> None:
    """One may add in pairs and the other in a row."""
    found = allowed((1e-6, 1e-3), (1e-3, 1e-6))

    np.testing.assert_allclose(found, np.repeat([4e-3], 6), rtol=1e-9)


def test_a_program_that_is_wrong_allows_no_more_than_a_hundredth() -> None:
    """Of the deviation, which extremes widen for themselves alone."""
    found = allowed((0.5, 1e4))

    largest = np.concatenate([REAL, EXTREMES]).std()
    np.testing.assert_allclose(found, np.repeat([1e-2, 1e-2 * largest], [4, 2]), rtol=1e-9)


def allowed_difference(first: float, error: float) -> np.ndarray:
    """Allowed errors (6,) of features' difference, which a program gets wrong by `error` alike."""
    exact = np.concatenate([REAL, EXTREMES])
    exact[:4] += first

    def program(features: np.ndarray) -> Evaluator:
        outputs = Outputs(np.zeros((len(exact), 2)), features={"penultimate": features})
        return lambda images: outputs  # type: ignore[return-value]  # nothing is perturbed

    def score(xp: object, outputs: Outputs, statistics: object) -> np.ndarray:
        features: np.ndarray = outputs.features["penultimate"]
        return features[:, 0] - features[:, 1]

    head = BoundHead(ScoreHead("x", ("features",), score, source="here"), {}, {})
    expected = Expected.of(
        Subject(Preprocess(SIZE), [head], Decision.none(["x"], 2)),
        Reference(program(exact), [program(exact + error)]),
        np.zeros((len(exact), SIZE, SIZE, 3), np.uint8),
        real=len(REAL),
    )
    return expected.allowed["x"]


def test_a_score_may_be_off_by_what_its_inputs_errors_come_to() -> None:
    """They cancel in the program that was measured: in another they may add up to twice one."""
    found = allowed_difference(0.0, 0.01)

    np.testing.assert_allclose(found[:4], np.full(4, 4 * 2 * 0.01), rtol=1e-9)


def test_inputs_are_no_better_known_than_float32_holds_them() -> None:
    """A program without an error widens the limit by two units of 1000, four times."""
    found = allowed_difference(998.0, 0.0)

    np.testing.assert_allclose(found[:4], np.full(4, 4 * 2 * 1000 * 2.0**-23), rtol=1e-6)


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_what_is_no_number_in_float32_widens_no_limit(nothing: float) -> None:
    """Neither for real images nor for extremes."""
    np.testing.assert_allclose(allowed((nothing, nothing)), np.full(6, 1e-4), rtol=1e-9)


def test_errors_are_the_largest_by_image_and_none_where_both_are_no_number() -> None:
    """A number beside none is an error that no limit allows."""
    found = np.array([[1.0, 2.0], [np.nan, 5.0], [np.inf, np.nan], [np.nan, 0.0]], np.float32)
    value = np.array([[1.5, 2.0], [np.nan, 4.0], [np.nan, -np.inf], [0.0, 0.0]])

    errors = largest_errors(found, value)

    np.testing.assert_array_equal(errors, [0.5, 1.0, 0.0, np.nan])
    assert not errors[3] <= np.inf


SPREAD, EFFECT = 100.0, 0.5


def first_logit(
    xp: object, outputs: Outputs, statistics: object, **parameters: float
) -> np.ndarray:
    """Some score."""
    first: np.ndarray = outputs.logits[:, 0]
    return first


def after_a_step(effect: float, error: float, score: Callable[..., np.ndarray]) -> Expected:
    """What is expected of a score on logits, with a quartile range of 100, that a step raises.

    The float32 program gets the raised ones wrong by `error`, and the others not at all.
    """
    still = np.array([0.0, SPREAD, 0.0, SPREAD, 3 * SPREAD, 0.0])

    class Program:
        def __init__(self, moved: np.ndarray) -> None:
            self.moved = moved

        def __call__(self, images: np.ndarray) -> Outputs:
            return Outputs(np.stack([still, still], axis=1))

        def second_pass(self, head: object, preprocess: object) -> Pass:
            return lambda images: Outputs(np.stack([self.moved, self.moved], axis=1))

    moving = ScoreHead("x", ("logits",), score, source="here", perturbation=lambda *_, **__: {})
    return Expected.of(
        Subject(Preprocess(SIZE), [BoundHead(moving, {"epsilon": 1.0})], Decision.none(["x"], 2)),
        Reference(Program(still + effect), [Program(still + effect + error)]),
        np.zeros((len(still), SIZE, SIZE, 3), np.uint8),
        real=len(REAL),
    )


def test_a_score_is_given_the_outputs_before_the_step_too() -> None:
    """Its exact value is that of both passes in float64."""

    def rise(xp: object, outputs: Outputs, statistics: object, **parameters: float) -> np.ndarray:
        still = outputs.still or outputs
        return first_logit(xp, outputs, statistics) - first_logit(xp, still, statistics)

    found = after_a_step(0.5, 0.01, rise).values["x"]

    np.testing.assert_array_equal([0.5] * 6, found)


def test_a_step_that_does_much_may_be_off_by_a_share_of_the_scores_spread() -> None:
    """2 % of the interquartile range, and on extremes of their own scores."""
    found = after_a_step(50.0, 0.1, first_logit).allowed["x"]

    np.testing.assert_allclose(found, [2.0] * 4 + [0.02 * 350, 2.0], rtol=1e-9)


def test_a_step_that_does_little_may_be_off_by_a_fifth_of_what_it_does() -> None:
    """And by what a score without a step may, 1e-5 of the range; extremes as ever."""
    found = after_a_step(EFFECT, 0.01, first_logit).allowed["x"]

    rounding = max(1e-5 * SPREAD, 4 * SPREAD * 2.0**-23)
    np.testing.assert_allclose(found[:4], np.full(4, EFFECT / 5 + rounding), rtol=1e-6)
    np.testing.assert_allclose(found[4:], [0.02 * (3 * SPREAD + EFFECT), 2.0], rtol=1e-6)


def test_what_float32_gets_wrong_after_a_step_is_allowed_twice() -> None:
    """Where it makes more of a difference than a fifth of the step."""
    found = after_a_step(EFFECT, 0.4, first_logit).allowed["x"]

    np.testing.assert_allclose(found[:4], np.full(4, 0.8), rtol=1e-9)
