"""Classifiers of torchvision, untrained, their last linear layer replaced by our heads."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from torch import Tensor, nn

from edge_ood.errors import ArtifactError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import ModelFamily, WholeNetworks
from edge_ood.models._headless import HeadlessNetwork

__all__ = ["NAMES", "published_preprocess", "published_weights", "torchvision_network"]

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
_TO_PLUS_MINUS_ONE = (0.5, 0.5, 0.5)
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# Files of the older DenseNets call a layer's parts `norm.1`, which is `norm1` today.
_OLD_DENSE_LAYER = re.compile(r"(?<=denselayer)(\d+\.(?:norm|conv))\.(?=[12]\.)")


def torchvision_network(name: str) -> HeadlessNetwork:
    """Untrained trunk of a torchvision classifier.

    Args:
        name: As `torchvision.models.list_models` spells it.

    Raises:
        InputError: If the classifier has no linear layer: SqueezeNet ends in a convolution.

    Source: torchvision.models, `weights=None`; the layers and their initialisation are its own.
    GoogLeNet and Inception come without their auxiliary classifiers.
    """
    options = _OPTIONS.get(name, {})
    return HeadlessNetwork(name, torchvision.models.get_model(name, weights=None, **options))


def published_preprocess(name: str) -> Preprocess:
    """What goes before the network in the weights that torchvision recommends for a classifier."""
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    mean, std = tuple(preset.mean), tuple(preset.std)
    if name in _OPTIONS:  # their published form undoes ImageNet's normalisation inside
        mean = std = _TO_PLUS_MINUS_ONE
    (size_px,), (resized_px,) = preset.crop_size, preset.resize_size
    return Preprocess(
        size_px,
        mean,
        std,
        crop=size_px / resized_px,
        interpolation=preset.interpolation.value,
    )


def published_weights(name: str, **parameters: Any) -> Mapping[str, Tensor]:
    """The weights that torchvision recommends for a classifier, from its cache or the network.

    Raises:
        ArtifactError: If they cannot be had here; it names the file and the folder to put it in.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError) as error:  # the latter where the file's hash is another
        folder = Path(torch.hub.get_dir(), "checkpoints")
        file = weights.url.rpartition("/")[2]
        raise ArtifactError(
            f"the weights of {name!r} are not in '{folder}' and cannot be fetched from "
            f"{weights.url}: {getattr(error, 'reason', error)}",
            hint=f"put the file '{file}' into that folder, or give it: --weights FILE",
        ) from error
    return state


def _whole_network(name: str, num_classes: int) -> nn.Module:
    options = {**_OPTIONS.get(name, {}), "num_classes": num_classes}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        _OLD_DENSE_LAYER.sub(r"\1", name): array
        for name, array in weights.items()
        if not name.startswith(_AUXILIARY)
    }


FAMILY = ModelFamily(
    pattern="torchvision",
    examples=(_SMALL, *(name for name in NAMES if name != _SMALL)),
    answers=frozenset(NAMES).__contains__,
    trunk=torchvision_network,
    source="torchvision.models",
    whole=WholeNetworks(
        _whole_network, published_preprocess, _renamed, published_weights, "torchvision"
    ),
)
