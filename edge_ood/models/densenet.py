"""Densely connected networks for small images, with bottleneck and compression (Huang et al.)."""

import re

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, dropout, relu

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, ModelFamily, Trunk
from edge_ood.models._convolution import convolution

_NAME = re.compile(r"densenet-bc-(\d{1,12})-(\d{1,12})")
_BLOCKS = 3
_CONVOLUTIONS_PER_UNIT = 6  # three blocks of layers with two convolutions each
_OTHER_LAYERS = 4
_BOTTLENECK = 4  # channels of a layer's 1x1 convolution, as a multiple of the growth rate
_STEM = 2  # channels of the first convolution, likewise
_LARGEST = 10_000_000
"""Layers of a block times growth, squared, or some hundred million weights; 190-40 has 1.5 M."""
_COMPRESSION = 2  # a transition divides the channels by this


class _Layer(nn.Module):
    """Adds `growth` channels to those it was given."""

    def __init__(self, channels_in: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = convolution(channels_in, _BOTTLENECK * growth, 1)
        self.norm2 = nn.BatchNorm2d(_BOTTLENECK * growth)
        self.conv2 = convolution(_BOTTLENECK * growth, growth, 3)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        narrow = self._dropped(self.conv1(relu(self.norm1(images), inplace=True)))
        added = self._dropped(self.conv2(relu(self.norm2(narrow), inplace=True)))
        return torch.cat([images, added], dim=1)

    def _dropped(self, images: Tensor) -> Tensor:
        return dropout(images, self.dropout, self.training)


class _Transition(nn.Module):
    """Halves channels and sides between two blocks."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = convolution(channels_in, channels_out, 1)

    def forward(self, images: Tensor) -> Tensor:
        return avg_pool2d(self.conv(relu(self.norm(images), inplace=True)), 2)


class DenseNet(Trunk):
    """Densely connected network with bottleneck and compression, without its linear head.

    Args:
        depth: 6 n + 4 with n >= 1 layers in each of the three blocks.
        growth: Channels that each layer adds.
        dropout: Probability after every convolution of a layer.
    """

    def __init__(self, depth: int, growth: int, dropout: float) -> None:
        super().__init__()
        layers = (depth - _OTHER_LAYERS) // _CONVOLUTIONS_PER_UNIT
        channels = _STEM * growth
        self.stem = convolution(3, channels, 3)
        self.blocks = nn.Sequential()
        for block in range(_BLOCKS):
            if block:
                self.blocks.append(_Transition(channels, channels // _COMPRESSION))
                channels //= _COMPRESSION
            for _ in range(layers):
                self.blocks.append(_Layer(channels, growth, dropout))
                channels += growth
        self.norm = nn.BatchNorm2d(channels)
        self.num_features = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of normalised images (N, 3, S, S), S >= 4."""
        last = relu(self.norm(self.blocks(self.stem(images))), inplace=True)
        return {PENULTIMATE: adaptive_avg_pool2d(last, 1).flatten(1)}


def dense_network(name: str, *, dropout: float = 0.0) -> DenseNet:
    """Untrained trunk of `densenet-bc-DEPTH-GROWTH`.

    Args:
        name: For example `densenet-bc-100-12`; DEPTH is 6 n + 4.
        dropout: Probability in [0, 1) after each convolution of a layer; the paper uses 0.2
            where images are not augmented.

    Raises:
        InputError: If depth, growth or dropout is out of range.

    Source: Huang, Liu, van der Maaten & Weinberger 2017, arXiv:1608.06993, section 3, the form
    for CIFAR with a bottleneck of 4 and a compression of 0.5. The initialisation is that of our
    wide residual networks, and the average pooling is global at any image size.
    """
    match = _NAME.fullmatch(name)
    assert match is not None, name
    depth, growth = int(match[1]), int(match[2])
    layers, rest = divmod(depth - _OTHER_LAYERS, _CONVOLUTIONS_PER_UNIT)
    if rest or layers < 1 or growth < 1:
        nearest = _CONVOLUTIONS_PER_UNIT * max(1, layers + (rest > 2)) + _OTHER_LAYERS
        raise InputError(
            f"depth {depth} and growth {growth} in {name!r}, expected depth 6 n + 4, growth >= 1",
            hint=f"'densenet-bc-{nearest}-{max(1, growth)}'",
        )
    if (layers * growth) ** 2 > _LARGEST:
        raise InputError(
            f"{name!r} is too large a network", hint="'densenet-bc-190-40' has 26 M weights"
        )
    if not 0 <= dropout < 1:
        raise InputError(f"dropout of {name!r} is {dropout!r}, expected 0 <= dropout < 1")
    return DenseNet(depth, growth, dropout)


FAMILY = ModelFamily(
    pattern="densenet-bc-D-G",
    examples=("densenet-bc-10-12", "densenet-bc-100-12", "densenet-bc-190-40"),
    answers=lambda name: _NAME.fullmatch(name) is not None,
    trunk=dense_network,
    smallest_px=4,
    source="Huang et al. 2017, section 3",
)
