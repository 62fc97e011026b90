"""What a network with its own head gives: logits, and what its last linear layer reads."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE
from edge_ood.scores import Outputs

__all__ = ["FinishedNetwork", "check_network", "find_features"]

_TRIED_BATCH = 2
_SURE = 1e-4  # how far sums of probabilities in float32 may be from one
_NAMED_LAST = 3


class FinishedNetwork(nn.Module):
    """A network with its own head, and what its last linear layer reads as features.

    Args:
        network: Maps images (N, 3, S, S) to logits (N, K), or to `Outputs`.
        last: Name of the linear layer that gives the logits; empty for no features.
    """

    def __init__(self, network: nn.Module, last: str) -> None:
        super().__init__()
        self.network = network
        self.last = last

    def forward(self, images: Tensor) -> Outputs:
        """Logits (N, K), and penultimate features (N, D) where there is such a layer."""
        read: list[Tensor] = []

        def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            read.append(inputs[0])

        if not self.last:
            return _as_outputs(self.network(images))
        handle = self.network.get_submodule(self.last).register_forward_pre_hook(remember)
        try:
            outputs = _as_outputs(self.network(images))
        finally:
            handle.remove()
        return replace(outputs, features={PENULTIMATE: read[-1]})


def find_features(
    name: str, network: nn.Module, size_px: int, classes: int
) -> tuple[FinishedNetwork, list[str]]:
    """Run a network once, and find the linear layer that gives its logits.

    Args:
        name: What messages call it.
        network: In evaluation mode.
        size_px: S.
        classes: K.

    Returns:
        The network with the input of that layer as features, and a note where there is no such
        layer, so that there are no features.

    Raises:
        InputError: As `check_network`.
    """
    linear: list[tuple[str, Tensor, Tensor]] = []
    called: list[str] = []

    def remember(path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            called.append(f"{type(module).__name__} {path!r}")
            if isinstance(module, nn.Linear):
                linear.append((path, inputs[0], output))

        return hook

    check_network(name, network, size_px, classes)
    handles = [
        module.register_forward_hook(remember(path))
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) or (path and not any(module.children()))
    ]
    try:
        outputs = _tried(name, network, _noise(size_px))
    finally:
        for handle in handles:
            handle.remove()
    if outputs.features:
        return FinishedNetwork(network, ""), []
    if linear and linear[-1][1].ndim == 2 and linear[-1][2].shape == outputs.logits.shape:
        return FinishedNetwork(network, linear[-1][0]), []
    last = ", ".join(called[-_NAMED_LAST:]) or "no submodule"
    return FinishedNetwork(network, ""), [
        f"model {name!r} ends in {last}, not in a linear layer whose input could be features: "
        "scores that read logits work, those that read features need --layers"
    ]


def check_network(name: str, network: nn.Module, size_px: int, classes: int) -> None:
    """Run a network on noise, in both precisions that its export is compared with.

    Raises:
        InputError: If it does not run in float32 and float64, gives anything but K logits, is not
            deterministic, or depends on the batch.
    """
    try:
        inspect.signature(network.forward).bind(None)
    except TypeError as error:
        raise InputError(
            f"model {name!r} cannot be called with images alone: {error}",
            hint="write a function that wraps it in a module with one input",
        ) from error
    noise = _noise(size_px)
    _check_logits(name, _tried(name, network, noise).logits, classes)
    precise = copy.deepcopy(network).double()
    images = noise.double()
    together = _tried(name, precise, images).logits
    if not torch.allclose(together, _tried(name, precise, images).logits):
        raise InputError(
            f"model {name!r} is not deterministic: the same images get other logits a second time",
            hint="switch random layers off in evaluation: dropout(x, training=self.training)",
        )
    alone = [_tried(name, precise, image[None]).logits for image in images]
    if not torch.allclose(together, torch.cat(alone)):
        raise InputError(
            f"model {name!r} depends on the batch: an image alone has other logits",
            hint="keep running statistics: BatchNorm2d(..., track_running_stats=True)",
        )


def _noise(size_px: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_TRIED_BATCH, 3, size_px, size_px, generator=generator)


def _tried(name: str, network: nn.Module, images: Tensor) -> Outputs:
    """Outputs for images; a network that does not run is refused in its own words."""
    try:
        with torch.inference_mode():
            return _as_outputs(network(images))
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).partition("\n")[0]
        if images.dtype is torch.float64:
            raise InputError(
                f"model {name!r} does not run in float64, which its export is compared with: "
                + reason,
                hint="make constants buffers, or give them the dtype of the images",
            ) from error
        raise InputError(
            f"model {name!r} cannot take images of {images.shape[-1]} px: {reason}",
            hint="--image-size as in its training",
        ) from error


def _as_outputs(found: Any) -> Outputs:
    if isinstance(found, Outputs):
        return found
    if isinstance(found, Tensor):
        return Outputs(found)
    keys = f" with {', '.join(map(repr, found))}" if isinstance(found, Mapping) else ""
    raise InputError(
        f"the network returned a value of type {type(found).__name__!r}{keys}, expected logits "
        "(N, K)",
        hint="return the logits alone from forward, or write a function that wraps the network",
    )


def _check_logits(name: str, logits: Tensor, classes: int) -> None:
    if logits.ndim != 2 or len(logits) != _TRIED_BATCH:
        raise InputError(
            f"model {name!r} gives logits of shape {tuple(logits.shape)} for {_TRIED_BATCH} images,"
            f" expected ({_TRIED_BATCH}, K)",
            hint="end forward with one row of logits an image, such as logits.flatten(1)",
        )
    if logits.shape[1] != classes:
        raise InputError(
            f"model {name!r} gives {logits.shape[1]} logits, got {classes} classes",
            hint="each folder of --train is a class, in the order of the outputs when sorted;"
            " --classes FILE names those that have none",
        )
    total = logits.sum(1)
    if (logits >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=_SURE):
        raise InputError(
            f"model {name!r} gives probabilities, which sum to one, expected logits",
            hint="leave the softmax out: scores need the numbers before it",
        )
