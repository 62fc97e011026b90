"""Classifiers of torchvision, untrained, their last linear layer replaced by our heads."""

import torchvision.models
from torch import Tensor, nn

from edge_ood.models import PENULTIMATE, ModelFamily, Trunk

_NAMES = ("mobilenet_v3_small", "resnet18")


class TorchvisionTrunk(Trunk):
    """A torchvision classifier whose last linear layer passes its input through.

    Args:
        network: A classifier that ends in a linear layer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        name, last = [
            (name, module)
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear)
        ][-1]
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, nn.Identity())
        self.network = network
        self.num_features = last.in_features

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of normalised images (N, 3, S, S)."""
        return {PENULTIMATE: self.network(images)}


def torchvision_network(name: str) -> TorchvisionTrunk:
    """Untrained trunk of a torchvision classifier.

    Args:
        name: As `torchvision.models.list_models` spells it.

    Source: torchvision.models, `weights=None`; the layers and their initialisation are its own.
    """
    return TorchvisionTrunk(torchvision.models.get_model(name, weights=None))


FAMILY = ModelFamily(
    pattern="a torchvision name",
    examples=_NAMES,
    answers=_NAMES.__contains__,
    trunk=torchvision_network,
    stride=32,
    source="torchvision.models",
)
