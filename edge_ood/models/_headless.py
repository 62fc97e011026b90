"""Networks that were made with a head of their own, as trunks: the last layer passes through."""

from torch import Tensor, nn

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, Trunk

__all__ = ["HeadlessNetwork"]


class HeadlessNetwork(Trunk):
    """A classifier whose last linear layer passes its input through.

    Args:
        name: The model's name, for messages.
        network: A classifier that ends in a linear layer.

    Attributes:
        network: The same without that layer.
        end: Where the layer was.

    Raises:
        InputError: If the network has no linear layer.
    """

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        linear = [
            (path, module)
            for path, module in network.named_modules()
            if path and isinstance(module, nn.Linear)
        ]
        if not linear:
            raise InputError(
                f"model {name!r} has no linear layer, expected one at its end for our heads",
                hint="--model mobilenet_v3_small has one and is small",
            )
        path, last = linear[-1]
        parent, _, attribute = path.rpartition(".")
        setattr(network.get_submodule(parent), attribute, nn.Identity())
        self.network = network
        self.end = path
        self.num_features = last.in_features

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of normalised images (N, 3, S, S)."""
        return {PENULTIMATE: self.network(images)}
