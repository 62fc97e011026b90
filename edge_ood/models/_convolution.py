"""The convolution that the families for small images are made of."""

from math import sqrt

from torch import nn

__all__ = ["convolution"]


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A padded convolution without bias, its weights drawn from N(0, 2 / (k k channels_out))."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.normal_(layer.weight, std=sqrt(2 / (kernel * kernel * channels_out)))
    return layer
