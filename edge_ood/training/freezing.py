"""A trunk that keeps its weights, or its batch statistics alone, while others learn.

Source of the latter: Keras' guide "Transfer learning and fine-tuning", which keeps batch
normalisation in inference mode: few images give poor statistics, and a layer with a slow moving
average, such as EfficientNet's, is validated with those of long ago.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from edge_ood.models import Classifier
from edge_ood.training.settings import FROZEN, Settings

__all__ = ["as_it_was", "set_trunk"]


def set_trunk(classifier: Classifier, settings: Settings, epoch: int) -> None:
    """Let the trunk learn in an epoch, counted from 0, or not.

    A frozen trunk has no gradient and is in evaluation mode: batch statistics of few photographs
    would change what it gives as much as a step does. They can be kept while the weights learn.
    """
    learns = epoch >= settings.frozen_epochs
    classifier.trunk.requires_grad_(learns).train(learns)
    if settings.batch_norm == FROZEN:
        for module in classifier.trunk.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # its one base class
                module.eval()


@contextmanager
def as_it_was(network: nn.Module) -> Iterator[None]:
    """Give every module its mode back, training or evaluation, that it had before."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
