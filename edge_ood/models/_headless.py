"""Networks that were made with a head of their own, as trunks: the last layer passes through."""

import torch
from torch import Tensor, nn

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, Trunk

__all__ = ["HeadlessNetwork", "check_headless"]


class HeadlessNetwork(Trunk):
    """A classifier whose last linear layer passes its input through.

    Args:
        name: The model's name, for messages.
        network: A classifier that ends in a linear layer.

    Attributes:
        network: The same without that layer.

    Raises:
        InputError: If the network has no linear layer.
    """

    known_within = "network."

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


def check_headless(name: str, trunk: Trunk, size_px: int, rows: int) -> None:
    """Run a network once as it is trained: its code alone knows which images it takes.

    Args:
        name: What messages call it.
        trunk: A `HeadlessNetwork`, in training mode.
        size_px: Side of its images.
        rows: Images in a batch.

    Raises:
        InputError: If it does not run, or ends in anything but the layer that was replaced.
    """
    assert isinstance(trunk, HeadlessNetwork)  # as families that are checked so build it
    passed: list[Tensor] = []
    end = trunk.network.get_submodule(trunk.end)
    handle = end.register_forward_hook(lambda module, inputs, output: passed.append(output))
    try:
        features = trunk(torch.zeros(min(rows, 2), 3, size_px, size_px))[PENULTIMATE]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"model {name!r} cannot be trained on {min(rows, 2)} image(s) of {size_px} px: "
            + str(error).partition("\n")[0],
            hint="--image-size as the network needs it, and --batch-size of 2 or more",
        ) from error
    finally:
        handle.remove()
    if not passed or passed[-1] is not features or features.ndim != 2:
        raise InputError(
            f"model {name!r} does not end in its last linear layer {trunk.end!r}, expected logits "
            "straight from it, for our heads to replace",
            hint="a network that is trained already needs no replacing: edge-ood export --model",
        )
