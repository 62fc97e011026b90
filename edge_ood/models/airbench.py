"""A network for images of about 32 pixels that learns in a few epochs (Jordan 2024)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, conv2d, gelu, max_pool2d, unfold

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, ModelFamily, Trunk
from edge_ood.models._convolution import convolution

_PATCH_PX = 2
_PATCH = 3 * _PATCH_PX**2
_CHANNELS = (64, 256, 256)
_LEAST_VARIANCE = 5e-4
_HEAD_SCALE = 9.0
_LARGEST = 8
_SHIFT_SCALE = 8.0  # the square root of the paper's 64


class _Normalization(nn.BatchNorm2d):
    """Normalises maps and adds what it learns, which changes 64 times as fast as other weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps) + _SHIFT_SCALE * self.shift.view(-1, 1, 1)


class _Stage(nn.Module):
    """Two convolutions, with half of the resolution between them."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, channels, 3)
        self.norm1 = _Normalization(channels)
        self.conv2 = convolution(channels, channels, 3)
        self.norm2 = _Normalization(channels)
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5)
            nn.init.dirac_(layer.weight[:channels_in])  # what comes in goes on as it is

    def forward(self, maps: Tensor) -> Tensor:
        halved = gelu(self.norm1(max_pool2d(self.conv1(maps), 2)))
        return gelu(self.norm2(self.conv2(halved)))


class Airbench(Trunk):
    """Six convolutions behind one that whitens patches of 2 x 2 pixels, and does not learn."""

    whitening: Tensor

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [2 * _PATCH, *(max(1, round(width * count)) for count in _CHANNELS)]
        self.num_features = channels[-1]
        self.register_buffer("whitening", torch.eye(_PATCH).repeat(2, 1).reshape(-1, 3, 2, 2))
        self.shift = nn.Parameter(torch.zeros(2 * _PATCH))
        self.stages = nn.Sequential(*(_Stage(*pair) for pair in pairwise(channels)))

    def see_first(self, images: Tensor) -> None:
        """Principal components of patches, each to unit variance and with both signs."""
        patches = unfold(images, _PATCH_PX).transpose(1, 2).reshape(-1, _PATCH).double()
        covariance = patches.T @ patches / len(patches)
        variances, directions = torch.linalg.eigh(covariance)
        rows = (directions / (variances + _LEAST_VARIANCE).sqrt()).T.flip(0)
        both = torch.cat([rows, -rows]).reshape(self.whitening.shape)
        self.whitening.copy_(both)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) under `penultimate`."""
        whitened = gelu(conv2d(images, self.whitening, self.shift))
        maps = self.stages(whitened)
        return {PENULTIMATE: adaptive_max_pool2d(maps, 1).flatten(1) / _HEAD_SCALE}


def airbench(name: str, *, width: float = 1.0) -> Airbench:
    """Untrained trunk.

    Args:
        name: `airbench`.
        width: Multiple of the widths 64, 256 and 256 of the three stages, in (0, 8].

    Raises:
        InputError: If the width is out of range.

    Source: Jordan 2024, arXiv:2404.00498, sections 3.1 to 3.3 and appendix A: whitening of 2 x 2
    patches with both signs, and a bias that learns; the first channels of every convolution start
    as the identity; batch normalisation without gains, its shifts at 64 times the rate and with the
    same decay; the largest value of the last maps; logits a ninth of what they would be. Here a
    shift is eight times what is learnt, which is the same for SGD and asks nothing of the
    optimiser; averages of batches are those of the other families; features are the divided ones,
    so that the linear head is an ordinary one.
    """
    if not 0 < width <= _LARGEST:
        raise InputError(f"width of {name!r} is {width!r}, expected 0 < width <= {_LARGEST}")
    return Airbench(width)


FAMILY = ModelFamily(
    pattern="airbench",
    examples=("airbench",),
    answers=lambda name: name == "airbench",
    trunk=airbench,
    smallest_px=9,
    source="Jordan 2024, section 3",
)
