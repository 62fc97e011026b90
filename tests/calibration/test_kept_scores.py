"""What a decision still knows of its calibration scores: some of them, each at its place."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ood.calibration.decision import Decision, fit_combined, fit_decision
from edge_ood.calibration.guarantee import Guarantee

NUDGE = 2e-3  # of the spread: calibration raises all scores by up to half of it


def check_places(
    decision: Decision, label: int, expected: NDArray[np.float64], guarantee: Guarantee
) -> int:
    """Each score is the one of the rank that its level says; returns how many are left."""
    n = len(expected)

    found = decision.kept_scores("a", label, n, guarantee)

    assert found is not None
    values, levels = found
    ranks = np.rint(levels * n).astype(int)
    assert (np.diff(ranks) > 0).all()
    assert levels[-1] == 1
    atol = NUDGE * np.ptp(expected)
    np.testing.assert_allclose(np.sort(expected)[ranks - 1], values, rtol=0, atol=atol)
    return len(values)


@pytest.mark.parametrize(("n", "kept"), [(19, 19), (1024, 1024), (5000, 1024), (20_000, 1024)])
@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_scores_keep_their_places(n: int, kept: int, confidence: float) -> None:
    """All of up to 1,024 images; of more, about so many, the largest among them."""
    scores = np.random.default_rng(n).normal(size=n).astype(np.float32)
    guarantee = Guarantee(0.05, confidence)
    decision = fit_decision({"a": scores}, np.zeros(n, np.int64), 1, guarantee)

    left = check_places(decision, 0, scores, guarantee)

    assert kept - 2 <= left <= kept


def test_classes_have_their_own() -> None:
    """Those with few images have all, and padding of short rows is no score."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 25, 3])
    scores = (random.normal(size=68) + 9 * labels).astype(np.float32)
    guarantee = Guarantee(per_class=True)
    decision = fit_decision({"a": scores}, labels, 3, guarantee)

    assert 40 == check_places(decision, 0, scores[labels == 0], guarantee)
    assert 25 == check_places(decision, 1, scores[labels == 1], guarantee)
    assert 68 == check_places(decision, 2, scores, guarantee)


def test_the_combined_score_has_those_of_the_second_half() -> None:
    """Its thresholds come from other images than the heads'."""
    random = np.random.default_rng(0)
    scores = {name: random.normal(size=100).astype(np.float32) for name in "ab"}
    guarantee, labels = Guarantee(combined=True), np.zeros(100, np.int64)
    first = np.arange(100) < 50
    decision = fit_decision(scores, labels, 1, guarantee)
    decision = fit_combined(decision, scores, labels, first, guarantee)
    assert decision.combined is not None
    expected = decision.combined.combination.score({k: v[~first] for k, v in scores.items()})

    found = decision.kept_scores("combined", 0, 50, guarantee)

    assert found is not None
    atol = NUDGE * np.ptp(expected)
    np.testing.assert_allclose(found[0], np.sort(expected), rtol=0, atol=atol)


def test_knots_of_other_images_are_none() -> None:
    """A file whose metadata and graph disagree about their number shows no scores."""
    decision = fit_decision({"a": np.arange(20.0)}, np.zeros(20, np.int64), 1, Guarantee())

    assert decision.kept_scores("a", 0, 500, Guarantee()) is None


def test_many_classes_keep_fewer_each() -> None:
    """With 128 of them each has 512 knots, which are told apart from all 600 scores."""
    labels = np.repeat(np.arange(128), 600)
    scores = np.random.default_rng(0).normal(size=len(labels)).astype(np.float32)
    guarantee = Guarantee(per_class=True)
    decision = fit_decision({"a": scores}, labels, 128, guarantee)

    left = check_places(decision, 77, scores[labels == 77], guarantee)

    assert 510 <= left <= 512
