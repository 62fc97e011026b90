"""Cross-entropy by hand, and with mixtures against SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import beta, kstest

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


def mixed_batch() -> Batch:
    """Four images that differ in every pixel."""
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randn(4, 3, 2, 2, generator=generator), torch.tensor([2, 0, 1, 2]))


class Summing:
    """Logits (N, 3) that are the sums of an image's channels; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor, **options: object) -> Outputs:
        """The logits."""
        self.asked.append(images)
        return Outputs(images.sum((2, 3)))


def test_regmixup_by_hand_against_scipy() -> None:
    """The mean of the images' own cost and that of mixtures with the neighbour, labels alike."""
    batch, network = mixed_batch(), Summing()
    torch.manual_seed(3)
    share = float(torch.distributions.Beta(2.0, 2.0).sample())
    torch.manual_seed(3)

    (loss,) = OBJECTIVES.get("cross-entropy").losses(network, batch, regmixup=2.0)

    images, labels = batch.images.double().numpy(), batch.labels.numpy()
    before = [3, 0, 1, 2]
    mixed = share * images + (1 - share) * images[before]
    own, of_mixed = (log_softmax(i.sum((2, 3)), axis=1) for i in (images, mixed))
    rows = np.arange(4)
    targets = share * of_mixed[rows, labels] + (1 - share) * of_mixed[rows, labels[before]]
    expected = -(own[rows, labels].mean() + targets.mean()) / 2
    assert expected == pytest.approx(loss.item(), rel=1e-5)  # float32 against float64
    assert [8] == [len(images) for images in network.asked]


def test_without_regmixup_nothing_is_mixed_or_drawn() -> None:
    """By default the network sees the images alone, and the generator stays where it was."""
    batch, network = mixed_batch(), Summing()
    state = torch.get_rng_state()

    list(OBJECTIVES.get("cross-entropy").losses(network, batch))

    assert torch.equal(batch.images, network.asked[0])
    assert torch.equal(state, torch.get_rng_state())


def test_shares_are_drawn_from_the_beta_distribution() -> None:
    """Recovered from what the network sees, 400 shares pass SciPy's test for Beta(0.5, 0.5)."""
    batch, network = mixed_batch(), Summing()
    torch.manual_seed(0)
    for _ in range(400):
        list(OBJECTIVES.get("cross-entropy").losses(network, batch, regmixup=0.5))

    first, last = batch.images[0], batch.images[3]
    shares = [((seen[4] - last) / (first - last)).mean().item() for seen in network.asked]

    assert kstest(shares, beta(0.5, 0.5).cdf).pvalue > 0.01


def test_regmixup_of_two_heads_is_the_mean_of_their_own() -> None:
    """A pair of heads that say the same costs what one of them costs."""
    batch = mixed_batch()

    def pair(images: torch.Tensor, **options: object) -> Outputs:
        logits = images.sum((2, 3))
        return Outputs(logits, torch.stack([logits, logits], dim=1))

    costs = []
    for network in (Summing(), pair):
        torch.manual_seed(0)
        (loss,) = OBJECTIVES.get("cross-entropy").losses(network, batch, regmixup=20.0)
        costs.append(loss.item())

    assert costs[0] == pytest.approx(costs[1], abs=EXACT)
