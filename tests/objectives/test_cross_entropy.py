"""Cross-entropy by hand."""

import math

import pytest
import torch

from edge_ood.objectives import OBJECTIVES, Batch
from edge_ood.scores import Outputs

EXACT = 1e-6  # float32 sums of a few terms of order 1


def cross_entropy_of(outputs: Outputs, labels: list[int]) -> float:
    """The single loss of a network with fixed outputs."""
    batch = Batch(torch.zeros(len(labels), 3, 1, 1), torch.tensor(labels))
    (loss,) = OBJECTIVES.get("cross-entropy").losses(lambda images: outputs, batch)
    return float(loss)


def test_one_head_by_hand() -> None:
    """Logits log 3 against 0 give the right class 3/4, so the loss is -log 3/4."""
    logits = torch.tensor([[math.log(3), 0.0]])

    assert -math.log(3 / 4) == pytest.approx(cross_entropy_of(Outputs(logits), [0]), abs=EXACT)


def test_two_heads_have_the_mean_of_their_own_losses() -> None:
    """A right and an undecided head give the mean of -log 3/4 and -log 1/2."""
    pair = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0]]])

    loss = cross_entropy_of(Outputs(pair.mean(1), pair), [0])

    assert -(math.log(3 / 4) + math.log(1 / 2)) / 2 == pytest.approx(loss, abs=EXACT)


def test_the_pairs_rows_meet_their_own_labels() -> None:
    """With two images and two heads, every row of the pair is judged by its image's label."""
    sure = [8.0, 0.0]
    pair = torch.tensor([[sure, sure], [sure[::-1], sure[::-1]]])

    loss = cross_entropy_of(Outputs(pair.mean(1), pair), [0, 1])

    assert math.log1p(math.exp(-8)) == pytest.approx(loss, abs=EXACT)
