"""Classifiers of torchvision, untrained, their last linear layer replaced by our heads."""

from typing import Any

import torchvision.models
from torch import Tensor, nn

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, ModelFamily, Trunk

__all__ = ["NAMES", "TorchvisionTrunk", "torchvision_network"]

_SMALL = "mobilenet_v3_small"

NAMES: tuple[str, ...] = tuple(
    name
    for name in torchvision.models.list_models(module=torchvision.models)
    if not name.startswith("vit_")
)
"""Every classifier but the vision transformers, which are built for one image size."""

# Without auxiliary classifiers these return one tensor in training, too.
_SINGLE_OUTPUT = {"aux_logits": False, "init_weights": True}
_OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _SINGLE_OUTPUT, "inception_v3": _SINGLE_OUTPUT}


class TorchvisionTrunk(Trunk):
    """A torchvision classifier whose last linear layer passes its input through.

    Args:
        name: Its name, for messages.
        network: A classifier that ends in a linear layer.

    Raises:
        InputError: If the network has no linear layer.
    """

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        linear = [
            (path, module)
            for path, module in network.named_modules()
            if isinstance(module, nn.Linear)
        ]
        if not linear:
            raise InputError(
                f"model {name!r} ends in a convolution, expected a linear layer that our heads "
                "can replace",
                hint=f"--model {_SMALL} is as small",
            )
        path, last = linear[-1]
        parent, _, attribute = path.rpartition(".")
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

    Raises:
        InputError: If the classifier does not end in a linear layer, as SqueezeNet does not.

    Source: torchvision.models, `weights=None`; the layers and their initialisation are its own.
    GoogLeNet and Inception come without their auxiliary classifiers.
    """
    options = _OPTIONS.get(name, {})
    return TorchvisionTrunk(name, torchvision.models.get_model(name, weights=None, **options))


FAMILY = ModelFamily(
    pattern="torchvision",
    examples=(_SMALL, *(name for name in NAMES if name != _SMALL)),
    answers=frozenset(NAMES).__contains__,
    trunk=torchvision_network,
    source="torchvision.models",
)
