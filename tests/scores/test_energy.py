"""Free energy: by hand, by SciPy and by pytorch-ood."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from edge_ood.scores import Outputs
from edge_ood.scores.energy import energy

LOGITS = 4 * np.random.default_rng(0).normal(size=(50, 7))
TEMPERATURES = (0.5, 1.0, 10.0, 1000.0)


@pytest.mark.parametrize(
    ("logits", "temperature", "expected"),
    [
        ([math.log(1), math.log(2), math.log(5)], 1.0, -math.log(8)),
        ([0, 0, 0, 0], 1.0, -math.log(4)),
        ([2 * math.log(3), 0], 2.0, -2 * math.log(4)),
        ([1e4, 1e4], 1.0, -1e4 - math.log(2)),
    ],
)
def test_is_minus_the_log_of_summed_exponentials(logits, temperature, expected):
    """`-T log sum exp(z / T)` of numbers whose exponentials are whole."""
    score = energy(np, Outputs(np.array([logits], float)), {}, temperature=temperature)[0]

    assert expected == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_is_scipys_logsumexp(temperature):
    """Every temperature, sign and axis agree with SciPy."""
    expected = -temperature * logsumexp(LOGITS / temperature, axis=1)

    scores = energy(np, Outputs(LOGITS), {}, temperature=temperature)

    np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_constant_on_all_logits_counts():
    """Unlike softmax, energy falls by what is added to every logit."""
    shifted = energy(np, Outputs(LOGITS + 3), {})

    np.testing.assert_allclose(shifted, energy(np, Outputs(LOGITS), {}) - 3, rtol=1e-12)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_pytorch_ood_agrees(pytorch_ood, temperature):
    """The independent detector gives the same numbers."""
    torch = pytest.importorskip("torch")

    theirs = pytorch_ood.EnergyBased.score(torch.from_numpy(LOGITS), t=temperature).numpy()

    scores = energy(np, Outputs(LOGITS), {}, temperature=temperature)
    np.testing.assert_allclose(scores, theirs, rtol=1e-12)
