"""Averaged weights against the formula in float64."""

import pytest
import torch
from torch import nn

from edge_ood.training.averaging import averaged_copy, decay_after, update_average


class Network(nn.Module):
    """A weight, statistics, and an index, which has no average."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("index", torch.arange(7))


def change(network: Network) -> None:
    """New weights and statistics."""
    with torch.no_grad():
        network.norm.weight.normal_()
    network.norm(torch.randn(4, 3))


def test_averages_by_hand() -> None:
    """The first is a copy; each later one moves by a tenth of the way and more, never by less."""
    torch.manual_seed(0)
    network = Network()
    averaged = averaged_copy(network)
    expected: dict[str, torch.Tensor] = {}

    for step in range(6):
        change(network)
        update_average(averaged, network)
        values = {name: value.double() for name, value in network.state_dict().items()}
        decay = 0.0 if step == 0 else min(0.999, (1 + step) / (10 + step))
        expected = {
            name: decay * expected.get(name, value) + (1 - decay) * value
            for name, value in values.items()
        }

    found = averaged.module.state_dict()
    for name in ("norm.weight", "norm.running_mean", "norm.running_var"):
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-5, atol=1e-6)
    assert 6 == int(averaged.n_averaged)


def test_what_has_no_average_is_that_of_the_network() -> None:
    """Indices and counts are copied: the mean of an index in floating point may round down."""
    network = Network()
    averaged = averaged_copy(network)

    for _ in range(50):
        change(network)
        update_average(averaged, network)

    found = averaged.module.state_dict()
    assert torch.equal(torch.arange(7), found["index"])
    assert 50 == int(found["norm.num_batches_tracked"])


def test_the_copy_does_not_train() -> None:
    """It is in evaluation mode, and needs no gradient."""
    averaged = averaged_copy(Network())

    assert not averaged.module.norm.training
    assert not any(weight.requires_grad for weight in averaged.parameters())


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 0.1), (8, 0.5), (980, 981 / 990), (10**6, 0.999)]
)
def test_the_decay_grows_to_its_largest(steps: int, expected: float) -> None:
    """`(1 + n) / (10 + n)`, at most 0.999."""
    assert expected == pytest.approx(decay_after(steps), rel=1e-12)
