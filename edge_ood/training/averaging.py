"""A moving average of the weights over the steps, which often predicts better than the last.

Source: torch's own `AveragedModel`, with the decay of TensorFlow's `ExponentialMovingAverage`: it
starts small, so that the first weights do not count for long, in a short run either.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["averaged_copy", "decay_after", "update_average"]

_Tensors = tuple[Tensor, ...] | list[Tensor]

_DECAY = 0.999  # an average of about the last 1,000 steps


def averaged_copy(classifier: nn.Module) -> AveragedModel:
    """A copy of a classifier in evaluation mode, for the averages of its weights and statistics."""
    copy = AveragedModel(classifier, use_buffers=True)
    return copy.eval().requires_grad_(requires_grad=False)


def update_average(averaged: AveragedModel, classifier: nn.Module) -> None:
    """`average = decay * average + (1 - decay) * weight`; the first time, the weight itself."""
    decay = decay_after(int(averaged.n_averaged))
    average: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(averages: _Tensors, values: _Tensors, steps: Tensor | int) -> None:
        if averages[0].is_floating_point():
            average(averages, values, steps)
            return
        for kept, value in zip(averages, values, strict=True):  # counts and indices have no average
            kept.copy_(value)

    averaged.multi_avg_fn = update
    with torch.no_grad():
        averaged.update_parameters(classifier)


def decay_after(steps: int) -> float:
    """The decay of the next update when there have been so many, in [0.1, 0.999]."""
    return min(_DECAY, (1 + steps) / (10 + steps))
