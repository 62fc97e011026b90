"""Torchvision's vision transformers: their position embedding is made for one image size."""

from dataclasses import replace

import torchvision.models
from torch import Tensor, nn

from edge_ood.errors import InputError
from edge_ood.images.preprocess import Preprocess
from edge_ood.models import ModelFamily, WholeNetworks
from edge_ood.models._headless import HeadlessNetwork
from edge_ood.models.torchvision_networks import published_preprocess, published_weights

_NAMES = tuple(torchvision.models.list_models(module=torchvision.models, include="vit_*"))


class VisionTransformerTrunk(HeadlessNetwork):
    """A vision transformer without its linear head.

    Args:
        name: As torchvision spells it.
        image_size: S, the side of its square images in pixels.
    """

    def __init__(self, name: str, image_size: int) -> None:
        super().__init__(
            name, torchvision.models.get_model(name, weights=None, image_size=image_size)
        )
        self.name = name
        self.image_size = image_size

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of normalised images (N, 3, S, S).

        Raises:
            InputError: If the images have another size.
        """
        side = images.shape[-1]
        if side != self.image_size:
            raise InputError(
                f"model {self.name!r} was built for images of {self.image_size} px, got {side} px",
                hint=f"--model {self.name}:image_size={side}",
            )
        return super().forward(images)


def vision_transformer(name: str, *, image_size: int = 224) -> VisionTransformerTrunk:
    """Untrained trunk of `vit_SIZE_PATCH`.

    Args:
        name: As torchvision spells it; it ends in the side of a patch in pixels.
        image_size: S, the side of the images in pixels, a multiple of the patch's.

    Raises:
        InputError: If the image size is no multiple of the patch size.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, as in torchvision.models, `weights=None`.
    """
    _check_size(name, image_size)
    return VisionTransformerTrunk(name, image_size)


def _check_size(name: str, image_size: int) -> None:
    patch = int(name.rpartition("_")[2])
    if image_size < patch or image_size % patch:
        nearest = patch * max(1, round(image_size / patch))
        raise InputError(
            f"image_size of {name!r} is {image_size}, expected a multiple of {patch}",
            hint=f"--model {name}:image_size={nearest} --image-size {nearest}",
        )


def _whole_network(name: str, num_classes: int, *, image_size: int) -> nn.Module:
    _check_size(name, image_size)
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=num_classes, image_size=image_size
    )
    return network


def _preprocess(name: str, *, image_size: int) -> Preprocess:
    return replace(published_preprocess(name), size_px=image_size)


FAMILY = ModelFamily(
    pattern="vit_X_P",
    examples=_NAMES,
    answers=frozenset(_NAMES).__contains__,
    trunk=vision_transformer,
    source="Dosovitskiy et al. 2021, in torchvision.models",
    whole=WholeNetworks(
        _whole_network, _preprocess, published=published_weights, publisher="torchvision"
    ),
)
