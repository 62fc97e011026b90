"""ODIN's score and loss: the paper's quantity, its numerics, and its ranking by pytorch-ood."""

from typing import Any

import numpy as np
import pytest

from edge_ood.scores import Outputs
from edge_ood.scores.odin import negative_log_likelihood, odin

LOGITS = 8 * np.random.default_rng(0).normal(size=(60, 10))
PAPER = {"temperature": 1000.0, "epsilon": 0.0, "clip": False}


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The paper's equation 1, as it is written."""
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 10.0, 1000.0])
def test_equals_the_papers_score_in_the_log_domain(temperature: float) -> None:
    """`-T (log S + log K)`, S being the largest softmax probability at T, in float64."""
    largest = softmax(LOGITS, temperature).max(axis=1)
    expected = -temperature * (np.log(largest) + np.log(10))

    found = odin(np, Outputs(LOGITS), {}, temperature=temperature)

    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_two_classes_give_the_log_of_the_sigmoid_of_their_distance() -> None:
    """Two classes a distance d apart: S = 1 / (1 + exp(-d/T)), -T (log S + log 2)."""
    expected = 3 * (np.log(1 + np.exp(-2 / 3)) - np.log(2))

    assert expected == pytest.approx(
        odin(np, Outputs(np.array([[5.0, 3.0]])), {}, temperature=3.0)[0], rel=1e-12
    )


def test_equal_logits_are_zero_and_nothing_is_larger() -> None:
    """The score of no preference at all is 0, the largest there is."""
    assert 0.0 == odin(np, Outputs(np.full((1, 7), 3.0)), {})[0]
    assert (odin(np, Outputs(LOGITS), {}) < 0).all()


def test_no_ties_in_float32_where_the_probability_has_them() -> None:
    """10,000 images whose S has a few thousand float32 values keep their ranking."""
    logits = 2 * np.random.default_rng(1).normal(size=(10_000, 10))
    exact = -softmax(logits, 1000.0).max(axis=1)
    single = logits.astype(np.float32)
    ties = len(single) - len(np.unique(softmax(single, np.float32(1000.0)).max(axis=1)))

    found = odin(np, Outputs(single), {})

    assert ties > 100
    assert np.float32 == found.dtype
    assert len(found) - len(np.unique(found)) < 10
    ranks, expected = (np.argsort(np.argsort(values)) for values in (found, exact))
    assert np.abs(ranks - expected).max() < 20


def test_loss_is_the_negative_log_likelihood_of_the_prediction() -> None:
    """What is descended is -log S at T, so that the step raises the confidence."""
    expected = -np.log(softmax(LOGITS, 1000.0).max(axis=1))

    found = negative_log_likelihood(np, Outputs(LOGITS), {}, **PAPER)

    assert ["logits"] == list(found)
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-12)


def test_pytorch_ood_ranks_alike(pytorch_ood: Any) -> None:
    """Without a step, an independent library orders the images in the same way."""
    torch = pytest.importorskip("torch")
    other = pytorch_ood.ODIN(torch.nn.Identity(), temperature=1000, eps=0.0)
    logits = torch.from_numpy(LOGITS)
    expected = other.predict(logits).detach().numpy()

    found = odin(np, Outputs(LOGITS), {})

    np.testing.assert_array_equal(np.argsort(expected), np.argsort(found))
