"""How a step changes the weights: optimiser, learning rate and clipping."""

import math
from typing import Any

import torch
from torch import nn

from edge_ood.models import Classifier
from edge_ood.training.settings import ADAMW, COSINE, STEP, Settings

__all__ = ["clip_gradients", "learning_rate", "make_optimizer", "parameter_groups", "set_rate"]

_DROPS = (0.5, 0.75)  # where He et al. 2016, section 4.2, divide the rate by ten on CIFAR-10


def parameter_groups(classifier: Classifier, settings: Settings) -> list[dict[str, Any]]:
    """All weights to train, by what their learning rate is multiplied by."""
    if settings.head_rate == 1:
        return [{"params": list(classifier.parameters()), "factor": 1.0}]
    return [
        {"params": list(classifier.trunk.parameters()), "factor": 1.0},
        {"params": list(classifier.heads.parameters()), "factor": settings.head_rate},
    ]


def make_optimizer(
    classifier: Classifier, settings: Settings, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of a classifier's weights, before its first step.

    Args:
        classifier: To train.
        settings: Which optimiser, and its numbers.
        device: Where the weights will be.
    """
    groups, fused = parameter_groups(classifier, settings), device.type == "cuda"
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == ADAMW:
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.SGD(
        groups,
        lr=rate,
        momentum=settings.momentum,
        weight_decay=decay,
        nesterov=settings.momentum > 0,
        fused=fused,
    )


def learning_rate(step: int, settings: Settings, *, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0.

    In a warm-up of W steps it is `(step + 1) / W` of the largest rate. Over what is left of the run
    it falls as a cosine, towards the final rate at the end; or is constant; or, in steps, is
    divided by ten after half of it, and once more after three quarters.
    """
    peak, final = settings.learning_rate, settings.final_learning_rate
    warm_up = round(settings.warmup * steps_per_epoch)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done, all_steps = step - warm_up, settings.epochs * steps_per_epoch - warm_up
    if settings.schedule == COSINE:
        return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * done / all_steps))
    if settings.schedule == STEP:
        return peak * 0.1 ** sum(done >= share * all_steps for share in _DROPS)
    return peak


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group of weights its learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def clip_gradients(classifier: nn.Module, settings: Settings) -> None:
    """Shorten the gradient of all weights together to the longest that is allowed."""
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(classifier.parameters(), settings.clip_norm)
