"""A trunk that keeps its weights and its batch statistics while the heads learn."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from edge_ood.models import Classifier
from edge_ood.training.settings import Settings

__all__ = ["as_it_was", "set_trunk"]


def set_trunk(classifier: Classifier, settings: Settings, epoch: int) -> None:
    """Let the trunk learn in an epoch, counted from 0, or not.

    A frozen trunk has no gradient and is in evaluation mode: batch statistics of few photographs
    would change what it gives as much as a step does.
    """
    learns = epoch >= settings.frozen_epochs
    classifier.trunk.requires_grad_(learns).train(learns)


@contextmanager
def as_it_was(network: nn.Module) -> Iterator[None]:
    """Give every module its mode back, training or evaluation, that it had before."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
