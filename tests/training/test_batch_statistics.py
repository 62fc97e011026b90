"""Running statistics follow the batches in short runs, as fast as the paper has it."""

import pytest
import torch
from torch import nn

from edge_ood.training.batch_statistics import let_statistics_follow


@pytest.mark.parametrize(
    ("own", "steps", "expected"),
    [
        (0.01, 45, 0.1),  # max(1 - 10 / 45, 0.9)
        (0.01, 200, 0.05),
        (0.01, 5000, 0.01),  # no slower than it was
        (0.1, 45, 0.1),
        (0.3, 45, 0.3),
        (None, 45, None),  # averages over all batches alike
    ],
)
def test_a_slow_average_is_quickened(own: float | None, steps: int, expected: float | None) -> None:
    """Of s steps an epoch each batch has a share of min(10 / s, 0.1), or more."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=own))

    let_statistics_follow(network, steps)

    assert expected == network[1].momentum


def test_present_statistics_stay() -> None:
    """Nothing but the pace changes; torch's own update shows it."""
    layer = nn.BatchNorm1d(1, momentum=0.01)
    let_statistics_follow(layer, 10)

    layer(torch.tensor([[1.0], [3.0]]))

    assert 0.1 * 2 == pytest.approx(layer.running_mean.item())
