"""Logit normalisation by hand, against pytorch-ood, and what its length does not do."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_ood.loss import LogitNorm

from edge_ood.objectives import OBJECTIVES, Batch
from edge_ood.scores import Outputs

EXACT = 1e-5  # float32 against float64, relative
LABELS = [1, 0, 3]

losses = OBJECTIVES.get("logit-norm").losses


def some_logits(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, (len(LABELS), *shape, 4))


def loss_of(logits: Any, pair: Any = None, labels: Any = LABELS, **parameters: Any) -> float:
    """The single loss of a network with fixed logits."""
    rows = torch.tensor(np.asarray(logits), dtype=torch.float32)
    outputs = Outputs(rows, None if pair is None else torch.tensor(pair, dtype=torch.float32))
    batch = Batch(torch.zeros(len(rows), 3, 1, 1), torch.tensor(labels))
    (loss,) = losses(lambda _: outputs, batch, **parameters)
    return float(loss)


def test_two_classes_by_hand() -> None:
    """The direction (3, 4) / 5 at tau 0.5 is (1.2, 1.6): the first class costs log(1 + e^0.4)."""
    loss = loss_of([[3.0, 4.0]], labels=[0], tau=0.5)

    assert math.log1p(math.exp(0.4)) == pytest.approx(loss, rel=EXACT)


@pytest.mark.parametrize(("parameters", "tau"), [({}, 0.04), ({"tau": 1.0}, 1.0)])
def test_against_pytorch_ood(parameters: dict[str, float], tau: float) -> None:
    """Its loss in float64 has the same value, for the published temperature by default."""
    logits = some_logits()
    expected = LogitNorm(t=tau)(torch.tensor(logits), torch.tensor(LABELS))

    assert float(expected) == pytest.approx(loss_of(logits, **parameters), rel=EXACT)


def test_longer_logits_cost_the_same() -> None:
    """A thousandfold length changes nothing."""
    logits = some_logits()

    assert loss_of(logits) == pytest.approx(loss_of(1000 * logits), rel=EXACT)


def test_logits_of_zero_cost_ln_k() -> None:
    """They have no direction: every class has its share, and nothing is divided by zero."""
    assert math.log(4) == pytest.approx(loss_of(np.zeros((3, 4))), rel=EXACT)


def test_no_probability_is_above_the_bound() -> None:
    """Of ten classes, the best direction is sqrt(10/9) above the others, as the page has it."""
    best = np.full((1, 10), -1.0)
    best[0, 2] = 9.0
    bound = 1 / (1 + 9 * math.exp(-math.sqrt(10 / 9) / 0.5))

    loss = loss_of(best, labels=[2], tau=0.5)

    assert -math.log(bound) == pytest.approx(loss, rel=EXACT)


def test_two_heads_have_lengths_of_their_own() -> None:
    """The loss is the mean of both heads' losses, however long the logits of one are."""
    pair = some_logits(2)
    pair[:, 1] *= 50

    both = loss_of(pair.mean(1), pair)

    assert np.mean([loss_of(pair[:, 0]), loss_of(pair[:, 1])]) == pytest.approx(both, rel=EXACT)
