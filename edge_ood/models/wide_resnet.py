"""Wide residual networks for small images (Zagoruyko & Komodakis 2016)."""

import re
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu

from edge_ood.errors import InputError
from edge_ood.models import PENULTIMATE, ModelFamily, Trunk
from edge_ood.models._convolution import convolution

_NAME = re.compile(r"wrn-(\d{1,12})-(\d{1,12})")
_STEM_CHANNELS = 16
_CONVOLUTIONS_PER_UNIT = 6  # three stages of two 3x3 convolutions
_OTHER_LAYERS = 4
_STAGE_STRIDES = (1, 2, 2)
_LARGEST = 10_000
"""Blocks of a stage times width squared, or about a billion weights; WRN-28-10 has 400."""


class _Block(nn.Module):
    """Pre-activation block; where the width changes, the shortcut starts after BN and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = convolution(channels_in, channels_out, 3, stride)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = convolution(channels_out, channels_out, 3, 1)
        self.shortcut = None
        if channels_in != channels_out:
            self.shortcut = convolution(channels_in, channels_out, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        activated = relu(self.norm1(images), inplace=True)
        shortcut = images if self.shortcut is None else self.shortcut(activated)
        residual = relu(self.norm2(self.conv1(activated)), inplace=True)
        total: Tensor = shortcut + self.conv2(self.dropout(residual))
        return total


class WideResNet(Trunk):
    """Wide residual network without its linear head.

    Args:
        depth: 6 n + 4 with n >= 1 blocks in each of the three stages.
        width: Multiple of the base widths 16, 32 and 64.
        dropout: Probability between the two 3x3 convolutions of a block.
    """

    def __init__(self, depth: int, width: int, dropout: float) -> None:
        super().__init__()
        blocks = (depth - _OTHER_LAYERS) // _CONVOLUTIONS_PER_UNIT
        channels = [_STEM_CHANNELS, *(_STEM_CHANNELS * width * 2**stage for stage in range(3))]
        self.stem = convolution(3, _STEM_CHANNELS, 3, 1)
        self.stages = nn.Sequential()
        for (channels_in, channels_out), stride in zip(
            pairwise(channels), _STAGE_STRIDES, strict=True
        ):
            self.stages.append(_Block(channels_in, channels_out, stride, dropout))
            for _ in range(blocks - 1):
                self.stages.append(_Block(channels_out, channels_out, 1, dropout))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.num_features = channels[-1]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, 64 width) of normalised images (N, 3, S, S), any S."""
        last = relu(self.norm(self.stages(self.stem(images))), inplace=True)
        return {PENULTIMATE: adaptive_avg_pool2d(last, 1).flatten(1)}


def wide_resnet(name: str, *, dropout: float = 0.3) -> WideResNet:
    """Untrained trunk of `wrn-DEPTH-WIDTH`.

    Args:
        name: For example `wrn-40-2`; DEPTH is 6 n + 4.
        dropout: Probability in [0, 1) between the two 3x3 convolutions of a block.

    Raises:
        InputError: If depth, width or dropout is out of range.

    Source: Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 1, with the 16-channel stem, the
    initialisation N(0, 2 / (k k channels_out)) and global average pooling at any image size.
    """
    match = _NAME.fullmatch(name)
    assert match is not None, name
    depth, width = int(match[1]), int(match[2])
    blocks, rest = divmod(depth - _OTHER_LAYERS, _CONVOLUTIONS_PER_UNIT)
    if rest or blocks < 1 or width < 1:
        nearest = _CONVOLUTIONS_PER_UNIT * max(1, blocks + (rest > 2)) + _OTHER_LAYERS
        raise InputError(
            f"depth {depth} and width {width} in {name!r}, expected depth 6 n + 4 and width >= 1",
            hint=f"'wrn-{nearest}-{max(1, width)}'",
        )
    if blocks * width**2 > _LARGEST:
        raise InputError(f"{name!r} is too large a network", hint="'wrn-28-10' has 36 M weights")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout of {name!r} is {dropout!r}, expected 0 <= dropout < 1")
    return WideResNet(depth, width, dropout)


FAMILY = ModelFamily(
    pattern="wrn-D-W",
    examples=("wrn-10-1", "wrn-16-2", "wrn-16-4", "wrn-28-10", "wrn-40-2"),
    answers=lambda name: _NAME.fullmatch(name) is not None,
    trunk=wide_resnet,
    smallest_px=4,
    source="Zagoruyko & Komodakis 2016, table 1",
)
