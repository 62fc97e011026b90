"""Optimisers, learning rates and clipping, against torch's own."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from edge_ood.registry import Spec
from edge_ood.training.optimisation import (
    clip_gradients,
    learning_rate,
    make_optimizer,
)
from edge_ood.training.settings import Settings

CPU = torch.device("cpu")
STEPS = 7  # of an epoch
ROUNDING = 1e-9  # torch's schedulers multiply from step to step


def make_settings(**options: Any) -> Settings:
    """Four epochs of whatever is trained."""
    chosen = {"epochs": 4, "learning_rate": 0.3, "final_learning_rate": 0.02, **options}
    return Settings(Spec("wrn-10-1"), Spec("cross-entropy"), **chosen)


def rates(settings: Settings) -> list[float]:
    """The rate of every step of a run."""
    return [
        learning_rate(step, settings, steps_per_epoch=STEPS)
        for step in range(settings.epochs * STEPS)
    ]


def rates_of_torch(settings: Settings, warm_up: int) -> list[float]:
    """The same by torch's schedulers, one after the other."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.learning_rate)
    steps = settings.epochs * STEPS
    left = steps - warm_up
    after: Any = {
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=left, eta_min=settings.final_learning_rate
        ),
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "step": lambda: lr_scheduler.MultiStepLR(
            optimizer, [math.ceil(left / 2), math.ceil(3 * left / 4)], gamma=0.1
        ),
    }
    parts: list[Any] = [after[settings.schedule]()]
    if warm_up:
        rising = lr_scheduler.LinearLR(optimizer, 1 / warm_up, total_iters=warm_up - 1)
        parts.insert(0, rising)
    chain = lr_scheduler.SequentialLR(optimizer, parts, [warm_up] if warm_up else [])
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        chain.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch's, about its own scheduler
@pytest.mark.parametrize("schedule", ["cosine", "constant", "step"])
@pytest.mark.parametrize(("warmup", "warm_up"), [(0.0, 0), (1.0, 7), (1.5, 10), (0.3, 2)])
def test_schedules_are_those_of_torch(schedule: str, warmup: float, warm_up: int) -> None:
    """A linear warm-up of parts of epochs, and each schedule over what is left of the run."""
    settings = make_settings(schedule=schedule, warmup=warmup)

    assert rates_of_torch(settings, warm_up) == pytest.approx(rates(settings), rel=ROUNDING)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (14, 0.05 + 5e-7), (28, 1e-6), (7, 0.0853553)]
)
def test_the_default_is_a_cosine(step: int, expected: float) -> None:
    """It starts at the peak, is halfway at half time and ends at the final rate."""
    settings = make_settings(learning_rate=0.1, final_learning_rate=1e-6)

    found = learning_rate(step, settings, steps_per_epoch=STEPS)

    assert expected == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        (
            {"momentum": 0.8, "weight_decay": 0.1},
            lambda w: torch.optim.SGD(w, 0.3, momentum=0.8, weight_decay=0.1, nesterov=True),
        ),
        (
            {"momentum": 0.0, "weight_decay": 0.1},
            lambda w: torch.optim.SGD(w, 0.3, weight_decay=0.1),
        ),
        (
            {"optimizer": "adamw", "weight_decay": 0.1},
            lambda w: torch.optim.AdamW(w, 0.3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
        ),
    ],
)
def test_optimisers_are_those_of_torch(options: dict[str, Any], reference: Any) -> None:
    """Three steps move the weights as torch's optimiser with the same numbers does."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    settings = make_settings(**options)
    inputs = torch.randn(3, 5, 3)

    for network, optimizer in (
        (ours, make_optimizer(ours, settings, CPU)),
        (theirs, reference(theirs.parameters())),
    ):
        for each in inputs:
            network(each).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    assert torch.equal(theirs.weight, ours.weight)


@pytest.mark.parametrize(("longest", "expected"), [(0.0, 5.0), (2.0, 2.0), (8.0, 5.0)])
def test_long_gradients_are_shortened(longest: float, expected: float) -> None:
    """A gradient (3, 4) over two weights has the norm 5; its direction stays."""
    network = nn.ParameterList([torch.zeros(1), torch.zeros(1)])
    for weight, slope in zip(network.parameters(), (3.0, 4.0), strict=True):
        weight.grad = torch.tensor([slope])

    clip_gradients(network, make_settings(clip_norm=longest))

    found = [float(weight.grad) for weight in network.parameters() if weight.grad is not None]
    assert [0.6 * expected, 0.8 * expected] == pytest.approx(found, rel=1e-5)
